-- Gives cells back, or charges what a request turned out to cost. For the values see `charge.lua`.
--
-- KEYS   one per policy, all in one slot
-- ARGV   per policy: what the cells take (microseconds, parts); then, to give them back, what was
--        due after the charge (microseconds, parts), when the value was made, and how many
--        microseconds had been given back by then; or -1 four times, to charge them
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for i = 1, #KEYS do
  local at = (i - 1) * 6
  local u, p = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local after, after_part = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local value = redis.call('GET', KEYS[i])
  local due, part, made, back = 0, 0, now, 0
  if value then
    due, part, made, back = struct.unpack('<dddd', value)
  end
  local write = false
  if after < 0 then
    if due < now then
      due, part = now, 0
    end
    due, part = due + u, part + p
    if part >= 16000 then
      due, part = due + 1, part - 16000
    end
    write = true
  elseif value and made == tonumber(ARGV[at + 5]) then
    -- What time has given back already is not given again, nor what others gave back of it.
    local open = after - now - (back - tonumber(ARGV[at + 6]))
    back = back + u
    if p > 0 then
      back = back + 1
    end
    if open < u or (open == u and after_part < p) then
      u, p = open, after_part
    end
    if u < 0 then
      u, p = 0, 0
    end
    if due > now then
      due, part = due - u, part - p
      if part < 0 then
        due, part = due - 1, part + 16000
      end
      write = true
    end
  end
  if write then
    if due < now then
      redis.call('DEL', KEYS[i])
    else
      local left = math.ceil((due - now + 1) / 1000)
      redis.call('SET', KEYS[i], struct.pack('<dddd', due, part, made, back), 'PX', string.format('%.0f', left))
    end
  end
end
return 0
