-- Takes a member out of a group; what it has not acknowledged is for whoever looks next.
if redis.replicate_commands then redis.replicate_commands() end
local stream, group, member = KEYS[1], ARGV[1], ARGV[2]
for _ = 1, 64 do
  local pending = redis.pcall('XPENDING', stream, group, '-', '+', 100, member)
  if pending.err or #pending == 0 then break end
  for _, entry in ipairs(pending) do
    -- As if nobody had touched it for a day.
    redis.call('XCLAIM', stream, group, 'left', 0, entry[1], 'IDLE', 86400000, 'JUSTID')
  end
end
redis.pcall('XGROUP', 'DELCONSUMER', stream, group, member)
return { 'ok' }
