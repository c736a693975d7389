package redisstore

import "github.com/m365backup/backupstorage/internal/redis"

// stepScript takes a step of a record.
//
//	KEYS  the record, the marker, and the claim if there is one
//	ARGV  marker; old record; new record, each empty for none; lease and time to keep in ms; 1 when the caller has
//	      looked since that marker was written; the time in ms for which an unknown key is looked for; 1 when the
//	      claim is sure
//
// It returns what became of it: ok, claimed, lost when the marker is another one; other, with the record that is there
// and what is left of its lease in ms; or look, with the age of the marker in ms.
var stepScript = redis.NewScript("idempotency-step", `
local marker = redis.call('GET', KEYS[2])
if not marker or string.sub(marker, 1, #ARGV[1]) ~= ARGV[1] then return {'lost'} end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local is = redis.call('GET', KEYS[1])
local record, lease = '', 0
if is then
  local space = string.find(is, ' ', 1, true)
  lease, record = tonumber(string.sub(is, 1, space - 1)), string.sub(is, space + 1)
end
if record ~= ARGV[2] then return {'other', record, lease - now} end
if ARGV[3] == '' then
  redis.call('DEL', KEYS[1])
  return {'ok'}
end
if record == '' and ARGV[6] ~= '1' then
  local made = tonumber(string.sub(marker, 38, 50))
  if now - made < tonumber(ARGV[7]) then return {'look', now - made} end
end
if KEYS[3] then
  local holder = redis.call('GET', KEYS[3])
  if holder and holder ~= KEYS[1] and ARGV[8] ~= '1' then return {'claimed'} end
  redis.call('SET', KEYS[3], KEYS[1], 'PX', ARGV[5])
end
local value = string.format('%.0f', now + ARGV[4]) .. ' ' .. ARGV[3]
if is then
  redis.call('SET', KEYS[1], value, 'KEEPTTL')
else
  redis.call('SET', KEYS[1], value, 'PX', ARGV[5])
end
return {'ok'}
`)

// readScript returns the record, what is left of its lease in ms, and whether the marker is the right one.
var readScript = redis.NewScript("idempotency-read", `
local marker = redis.call('GET', KEYS[2])
if not marker or string.sub(marker, 1, #ARGV[1]) ~= ARGV[1] then return {'lost'} end
local t = redis.call('TIME')
local is = redis.call('GET', KEYS[1])
if not is then return {'other', '', 0} end
local space = string.find(is, ' ', 1, true)
return {'other', string.sub(is, space + 1), tonumber(string.sub(is, 1, space - 1)) - (t[1] * 1000 + math.floor(t[2] / 1000))}
`)

// markScript returns the marker, `UUID MADE RUN-ID`. It writes one when there is none, or when that is of another run
// of Redis: ARGV has the UUID and the run id.
var markScript = redis.NewScript("idempotency-mark", `
local marker = redis.call('GET', KEYS[1])
if marker and string.sub(marker, 52) == ARGV[2] then return marker end
local t = redis.call('TIME')
marker = ARGV[1] .. ' ' .. string.format('%013.0f', t[1] * 1000 + math.floor(t[2] / 1000)) .. ' ' .. ARGV[2]
redis.call('SET', KEYS[1], marker)
return marker
`)

// restoreScript writes records again, unless what is there is as new: the fence and state of a record, bytes 2 to 10,
// say which of two is newer.
//
//	KEYS  the records, and behind each its claim, or the record itself for none
//	ARGV  time to keep in ms of each, and behind it the text of the record
var restoreScript = redis.NewScript("idempotency-restore", `
local function newer(a, b)
  for i = 2, 10 do
    local x, y = string.byte(a, i) or 0, string.byte(b, i) or 0
    if x ~= y then return x > y end
  end
  return false
end
for i = 1, #KEYS, 2 do
  local is = redis.call('GET', KEYS[i])
  local text = ARGV[i + 1]
  local write = not is
  if is then
    local space = string.find(is, ' ', 1, true)
    write = newer(string.sub(text, string.find(text, ' ', 1, true) + 1), string.sub(is, space + 1))
  end
  if write then redis.call('SET', KEYS[i], text, 'PX', ARGV[i]) end
  if KEYS[i + 1] ~= KEYS[i] then redis.call('SET', KEYS[i + 1], KEYS[i], 'PX', ARGV[i], 'NX') end
end
return #KEYS / 2
`)
