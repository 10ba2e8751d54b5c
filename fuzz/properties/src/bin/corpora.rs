//! `corpora unpack FILE FOLDER` writes each input of a packed text into a file of its own, as
//! libFuzzer wants them; `corpora pack FOLDER FILE` does the opposite.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use properties::packed::{pack, unpack};

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["unpack", file, folder] => {
            fs::create_dir_all(folder)?;
            let inputs = unpack(&fs::read_to_string(file)?);
            let inputs = inputs.ok_or_else(|| io::Error::other(format!("{file} is not packed")))?;
            for (number, input) in inputs.iter().enumerate() {
                fs::write(Path::new(folder).join(format!("{number:05}")), input)?;
            }
        }
        ["pack", folder, file] => {
            let inputs: io::Result<_> = fs::read_dir(folder)?
                .map(|it| fs::read(it?.path()))
                .collect();
            fs::write(file, pack(inputs?))?;
        }
        _ => {
            eprintln!("corpora unpack FILE FOLDER | corpora pack FOLDER FILE");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
