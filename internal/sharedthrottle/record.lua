-- The record of one throttle. KEYS: the record, the index of all records.
-- ARGV: verb, channel, sender, scope, epoch, change, wait, fresh, paced, rate, pace, want, kept, probe, ahead, slots
-- Times are in milliseconds, those of the record by the clock of Redis. The fields of a record are written one by one,
-- so that fields of a later version stay as they are.
local verb, channel, sender, scope = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local epoch, change, wait, rate = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[10])
local fresh, paced, pace, want = ARGV[8] == '1', ARGV[9] == '1', ARGV[11], tonumber(ARGV[12])
local stale = 2000
local kept, probe, ahead, slots = tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15]), tonumber(ARGV[16])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local h = redis.call('HMGET', KEYS[1], 'e', 'n', 's', 'u', 'r', 'p', 't', 'k', 'x', 'a', 'w', 'g', 'b')
local known = h[1] ~= false
local e, n, s, u = tonumber(h[1] or 0), tonumber(h[2] or 0), h[3] or 'b', tonumber(h[4] or 0)
local r, p, t = tonumber(h[5] or rate), h[6] or pace, tonumber(h[7] or now)
local k, x = h[8] or '', tonumber(h[9] or 0)
local a, w, g, b = tonumber(h[10] or 0), tonumber(h[11] or 0), tonumber(h[12] or 0), tonumber(h[13] or -1)
local changed, tell, got, first, ask, claimed, measured = false, false, 0, 0, 0, 0, -1

local function takepace() r, p, t = rate, pace, now end
-- The next slot comes after an interval, and the slots are counted anew.
local function restart() a, w, g, b = now + 1000 / r, now, 0, -1 end

if verb == 'block' then
  if not known then e = epoch end
  if fresh and epoch == e then e = e + 1; takepace() end
  s, u, k, x, changed, tell = 'b', math.max(u, now + wait), '', 0, true, true
elseif verb == 'put' then
  if not known or epoch > e then
    e, s, k, x = epoch, paced and 'p' or 'b', '', 0
    takepace()
    restart()
    changed, tell = true, true
  elseif epoch == e and (rate < r or now - t > stale) then
    -- While nobody could reach Redis the pace grew here as if nobody needed it.
    takepace()
    changed = true
  end
  if now + wait > u + 100 and wait > 0 then s, u, k, x, changed, tell = 'b', now + wait, '', 0, true, true end
elseif not known then
  return {'0'}
elseif verb == 'claim' then
  if s == 'b' and u <= now + 1 and (k == sender or x <= now) then
    k, x, claimed, changed = sender, now + probe, 1, true
  end
elseif verb == 'release' then
  if k == sender then k, x, changed, tell = '', 0, true, true end
elseif verb == 'open' then
  if e == epoch and s == 'b' and u <= now + 1 then
    takepace()
    restart()
    s, k, x, changed, tell = 'p', '', 0, true, true
  end
elseif verb == 'end' then
  -- A replica without requests does not know how the pace of those with requests went on. Their leases change the record,
  -- and leave it at a pace that holds nobody up.
  if fresh or e == epoch and s == 'p' and (change >= n or r >= rate) then
    redis.call('DEL', KEYS[1])
    redis.call('ZREM', KEYS[2], scope)
    return {'0'}
  end
elseif verb == 'lease' and s == 'p' then
  -- The pace grows in each replica in the same way: the one that asks has it as it is now.
  if e == epoch and paced then takepace() end
  local interval = 1000 / r
  a = math.max(a, now)
  first = a - now
  -- Slots are counted in windows, by their time.
  local length = math.max(1000, 8000 / r)
  local most = math.min(want, slots, math.max(1, math.floor(r / 2)))
  while got < most and a <= now + ahead do
    if a - w >= length then
      b = a - w < 2 * length and g / length or 0
      w, g = a, 0
    end
    got, g, a = got + 1, g + 1, a + interval
  end
  if got == 0 then ask = a - now - ahead end
  changed = true
  -- Those whose time has not come say nothing yet.
  local passed, used = now - w, math.max(0, g - math.max(0, (a - now) / interval))
  if b >= 0 then measured = 1000 * (passed < 0 and b or used / length + b * math.max(0, 1 - passed / length))
  elseif passed >= 1000 then measured = 1000 * used / passed end
end

local count = tonumber(redis.call('PUBSUB', 'NUMSUB', channel)[2])
local function number(v) return string.format('%.3f', v) end
if changed then
  n = math.max(n, change) + 1
  redis.call('HSET', KEYS[1], 'v', '1', 'e', e, 'n', n, 's', s, 'u', number(u), 'r', string.format('%.9g', r), 'p', p, 't', number(t),
    'k', k, 'x', number(x), 'a', number(a), 'w', number(w), 'g', g, 'b', string.format('%.9g', b), 'c', count)
end
if verb == 'block' or verb == 'put' and changed then
  local till = math.ceil(math.max(now, u) + kept)
  redis.call('PEXPIREAT', KEYS[1], till)
  redis.call('ZADD', KEYS[2], till, scope)
  redis.call('PEXPIREAT', KEYS[2], till + kept)
end
local fact = {'1', tostring(e), tostring(n), s, number(math.max(0, u - now)), p, number(now - t), tostring(count)}
if tell then
  redis.call('PUBLISH', channel, table.concat({'1', sender, scope, table.concat(fact, '|'), number(math.max(0, x - now)), k}, '|'))
end
fact[9] = number((k ~= '' and k ~= sender) and math.max(0, x - now) or 0)
fact[10], fact[11], fact[12], fact[13] = tostring(claimed), tostring(got), number(first), number(1000 / r)
fact[14], fact[15] = number(ask), number(measured)
return fact
