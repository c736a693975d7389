-- Some of all records, for a replica that begins to listen. KEYS: the index. ARGV: the beginning of the keys of records,
-- the first position, how many, the channel.
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', math.floor(now))
local count = redis.call('PUBSUB', 'NUMSUB', ARGV[4])[2]
local all = {}
for _, scope in ipairs(redis.call('ZRANGE', KEYS[1], ARGV[2], ARGV[2] + ARGV[3] - 1)) do
  local h = redis.call('HMGET', ARGV[1] .. scope, 'e', 'n', 's', 'u', 'p', 't', 'x')
  local fact = {'0'}
  if h[1] then
    fact = {'1', h[1], h[2], h[3], string.format('%.3f', math.max(0, h[4] - now)), h[5], string.format('%.3f', now - h[6]),
      tostring(count), string.format('%.3f', math.max(0, h[7] - now))}
  end
  all[#all + 1] = scope
  all[#all + 1] = table.concat(fact, '|')
end
return all
