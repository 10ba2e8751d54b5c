use std::collections::VecDeque;
use std::convert::Infallible;

use http::HeaderMap;
use http_body_util::BodyExt as _;
use tokio::time::{advance, timeout};

use super::*;

/// These frames, each after a moment if it is to be waited for.
struct Frames(VecDeque<Frame<Bytes>>, Option<(Duration, Pin<Box<Sleep>>)>);

impl Frames {
    fn of(frames: impl IntoIterator<Item = Frame<Bytes>>, each: Option<Duration>) -> Self {
        let pause = each.map(|each| (each, Box::pin(sleep(each))));
        Self(frames.into_iter().collect(), pause)
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some((each, pause)) = &mut self.1 {
            ready!(pause.as_mut().poll(cx));
            pause.set(sleep(*each));
        }
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_frame_without_a_byte_is_no_sign_of_life() {
    let activity = Activity::new();
    let frames = [data(""), data("x"), Frame::trailers(HeaderMap::new())];
    let mut upload = Upload::new(Frames::of(frames, None), activity.clone());
    // The last is the end, of which there is one.
    for (passed, left) in [(1, 9), (2, 10), (3, 10), (4, 10)] {
        advance(SECOND).await;
        let _ = upload.frame().await;
        let expected = Some(Duration::from_secs(left));
        assert_eq!(activity.left_of(10 * SECOND), expected, "{passed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_of_frames_without_a_byte_has_an_end() {
    for (text, whole) in [("", false), ("x", true)] {
        let frames = Frames::of((0..100).map(|_| data(text)), Some(SECOND));
        let download = Download::new(frames, Activity::new(), 10 * SECOND);
        let read = timeout(1_000 * SECOND, download.collect()).await;
        assert_eq!(read.expect("an end").is_ok(), whole, "{text:?}");
    }
}
