-- A record is a hash: `last` is its highest epoch, `c<place>` what a place is, `p<place>` whom its holder displaced.
-- A cell is `h<epoch><session><incarnation><owner id>` or `u<epoch><since>`. Epochs and times are 16 decimal digits, so
-- that they compare as strings; sums are made of numbers below 2^53, which a double holds exactly.
if redis.replicate_commands then redis.replicate_commands() end
local MAX = 9007199254740991
local NONE = '0000000000000000'
local record = KEYS[1]
local place, channel, subject = ARGV[1], ARGV[2], ARGV[3]

local function is_number(text)
  return text and #text == 16 and not string.find(text, '%D')
end

local function digits(number)
  return string.format('%016.0f', number)
end

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- What another version or another program wrote is as good as nothing.
local function cell_of(text)
  if not text then return nil end
  local kind, epoch, rest = string.sub(text, 1, 1), string.sub(text, 2, 17), string.sub(text, 18)
  if is_number(epoch) and (kind == 'h' and #rest > 48 or kind == 'u' and is_number(rest)) then
    return { kind = kind, epoch = epoch, rest = rest, text = text }
  end
end

local function last()
  local known = redis.call('HGET', record, 'last')
  return is_number(known) and known or NONE
end

local function raise(epoch)
  if epoch > last() then redis.call('HSET', record, 'last', epoch) end
end

local function tell(text)
  redis.call('PUBLISH', channel, subject .. '\n' .. #place .. '\n' .. place .. text)
end

local cell = cell_of(redis.call('HGET', record, 'c' .. place))
