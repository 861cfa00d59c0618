local mine, epoch, over = ARGV[4], ARGV[5], ARGV[6]

if cell and cell.epoch > epoch then return { 'no', 'fenced', cell.epoch } end
if cell and cell.epoch == epoch and cell.kind == 'h' then
  if cell.rest == mine then
    redis.call('HSET', record, 'c' .. place, cell.text)
    return { 'done' }
  end
  if cell.text ~= over then return { 'no', 'tie', cell.text } end
end

local text = 'h' .. epoch .. mine
redis.call('HSET', record, 'c' .. place, text)
redis.call('HDEL', record, 'p' .. place)
raise(epoch)
redis.call('PERSIST', record)
tell(text)
return { 'done' }
