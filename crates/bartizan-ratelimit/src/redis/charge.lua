-- Charges all policies of one subject, or none.
--
-- A stored value is four little-endian doubles: the moment at which the next cell is due, in whole
-- microseconds of the server's clock and in sixteen-thousandths of one; when the value was made;
-- and how many microseconds were given back since. All of them are whole numbers below 2^53, which
-- a double holds exactly; products are formed by the client, so that this only adds and compares.
--
-- KEYS   one per policy, all in one slot
-- ARGV   how many sizes there are, and for how many microseconds what is granted may be kept;
--        then per policy: whether it may fail by itself (1), how far ahead a full burst reaches
--        (microseconds, parts), and what each size takes (microseconds, parts)
-- gives  which size was granted (0 for none), the time, and per policy: whether it was charged,
--        what is due then (microseconds, parts), when the value was made, what was given back
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local sizes, hold = tonumber(ARGV[1]), tonumber(ARGV[2])
local width = 3 + 2 * sizes
local values = redis.call('MGET', unpack(KEYS))
local due, part, made, back = {}, {}, {}, {}
for i = 1, #KEYS do
  if values[i] then
    due[i], part[i], made[i], back[i] = struct.unpack('<dddd', values[i])
  else
    due[i], part[i], made[i], back[i] = 0, 0, now, 0
  end
end

-- What is due of a policy after a size was charged, and whether that is not too far ahead.
local function charged(i, size)
  local at = 2 + (i - 1) * width
  local u, p = due[i], part[i]
  if u < now + hold then
    u, p = now + hold, 0
  end
  local span = at + 2 + 2 * size
  u = u + ARGV[span]
  p = p + ARGV[span + 1]
  if p >= 16000 then
    u, p = u + 1, p - 16000
  end
  local ahead = u - now - ARGV[at + 2]
  return ahead < 0 or (ahead == 0 and p <= tonumber(ARGV[at + 3])), u, p
end

local granted = 0
for size = 1, sizes do
  local all = true
  for i = 1, #KEYS do
    if ARGV[3 + (i - 1) * width] == '0' and not charged(i, size) then
      all = false
      break
    end
  end
  if all then
    granted = size
    break
  end
end

local reply = { granted, now }
for i = 1, #KEYS do
  local fits = 0
  if granted > 0 then
    local ok, u, p = charged(i, granted)
    if ok then
      fits, due[i], part[i] = 1, u, p
      -- Once everything is won back, an absent value says the same.
      local left = math.ceil((u - now + 1) / 1000)
      redis.call('SET', KEYS[i], struct.pack('<dddd', u, p, made[i], back[i]), 'PX', string.format('%.0f', left))
    end
  end
  local n = #reply
  reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4], reply[n + 5] = fits, due[i], part[i], made[i], back[i]
end
return reply
