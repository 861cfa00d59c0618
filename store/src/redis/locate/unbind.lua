local session, mine, tomb, kept = ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])

if cell and cell.kind == 'u' and cell.epoch == tomb then
  redis.call('HSET', record, 'c' .. place, cell.text)
  return { 'done' }
end
if cell and cell.epoch > mine then return { 'no' } end
if cell and cell.kind == 'h' and cell.epoch == mine and string.sub(cell.rest, 1, 32) ~= session then
  return { 'no' }
end

local text = 'u' .. tomb .. digits(now())
redis.call('HSET', record, 'c' .. place, text)
redis.call('HDEL', record, 'p' .. place)
raise(tomb)

-- A record without a holder is forgotten with its last tombstone; the clock keeps its epochs rising.
local held = false
local fields = redis.call('HGETALL', record)
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 1) == 'c' and string.sub(fields[i + 1], 1, 1) == 'h' then held = true end
end
if held then
  redis.call('PERSIST', record)
else
  redis.call('PEXPIRE', record, kept / 1000)
end
tell(text)
return { 'done' }
