local mine, floor, when, seen, kept = ARGV[4], ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8])

if cell and cell.kind == 'h' and cell.rest == mine and cell.epoch > floor then
  -- Written again, so that a repeated claim waits for the replicas as the first did.
  redis.call('HSET', record, 'c' .. place, cell.text)
  local previous = redis.call('HGET', record, 'p' .. place)
  return { 'won', cell.epoch, previous or '', redis.call('HGETALL', record) }
end

local at = cell and cell.epoch or NONE
if (when == 'absent' and cell and cell.kind == 'h') or (when == 'epoch' and at ~= seen) then
  return { 'no', redis.call('HGETALL', record) }
end

local clock = now()
local next = math.max(tonumber(last()), tonumber(at), tonumber(floor)) + 1
if next < clock and clock <= MAX then next = clock end
if next > MAX then return { 'limit' } end

-- Tombstones beside it that are old enough to be forgotten.
local fields = redis.call('HGETALL', record)
for i = 1, #fields, 2 do
  local other = string.sub(fields[i], 1, 1) == 'c' and cell_of(fields[i + 1])
  if other and other.kind == 'u' and tonumber(other.rest) < clock - kept then redis.call('HDEL', record, fields[i]) end
end

local epoch = digits(next)
local text = 'h' .. epoch .. mine
local previous = cell and cell.kind == 'h' and cell.text or ''
redis.call('HSET', record, 'c' .. place, text, 'last', epoch)
if previous ~= '' then
  redis.call('HSET', record, 'p' .. place, previous)
else
  redis.call('HDEL', record, 'p' .. place)
end
redis.call('PERSIST', record)
tell(text)
return { 'won', epoch, previous, redis.call('HGETALL', record) }
