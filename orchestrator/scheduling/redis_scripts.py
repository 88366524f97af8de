"""What the Redis queue does in one step: Lua, run by the server, where nobody comes between.

The keys, all with the queue's prefix (in braces: a cluster keeps them in one slot):

====================  ======  ======================================================================
``wait:LANE:EXPERT``  stream  published batches that nobody has claimed yet
``lanes:EXPERT``      list    lanes with such batches, the one whose turn it is first
``stream:EXPERT``     stream  claimed batches, read by the group ``workers``; gone once acknowledged
``known:EXPERT``      hash    batch id to entry id, for those in either stream
``experts``           set     whoever has a stream
``worker:NAME``       string  what the worker last said of itself; expires when it is silent
``workers``           set     names that may be alive
``holders``           hash    expert to worker; counts while the worker lives
``bell``              stream  one entry for each publishing, to wait for
====================  ======  ======================================================================

A batch that was given back belongs to the consumer ``-``, who never lives.  Every script makes
what it misses, so that a server that lost its data needs no care; all may be run twice.
"""

from __future__ import annotations

_SHARED = """
local p = KEYS[1]
local function key(kind, name) return p .. ':' .. kind .. (name and (':' .. name) or '') end
local function waits(lane, expert) return key('wait', lane .. ':' .. expert) end
local function alive(worker) return redis.call('EXISTS', key('worker', worker)) == 1 end
local function group(expert)
  redis.pcall('XGROUP', 'CREATE', key('stream', expert), 'workers', '0', 'MKSTREAM')
  redis.call('SADD', key('experts'), expert)
end
local function sign_of_life(worker, state, ttl_ms)
  redis.call('SET', key('worker', worker), state, 'NX', 'PX', ttl_ms)
  redis.call('SADD', key('workers'), worker)
end
local function ring() redis.call('XADD', key('bell'), 'MAXLEN', '1', '*', 'b', '1') end
local function consumers(expert)
  local found = redis.pcall('XPENDING', key('stream', expert), 'workers')
  return (not found.err and found[4]) or {}
end
-- Forgets a worker that does not live; what it had claimed keeps its consumer until reclaimed.
local function forget(worker)
  redis.call('SREM', key('workers'), worker)
  for _, expert in ipairs(redis.call('SMEMBERS', key('experts'))) do
    local stream = key('stream', expert)
    if #redis.pcall('XPENDING', stream, 'workers', '-', '+', 1, worker) == 0 then
      redis.pcall('XGROUP', 'DELCONSUMER', stream, 'workers', worker)
    end
    if redis.call('HGET', key('holders'), expert) == worker then
      redis.call('HDEL', key('holders'), expert)
    end
  end
end
local function owner(expert, entry)
  local found = redis.pcall('XPENDING', key('stream', expert), 'workers', entry, entry, 1)
  return (not found.err and found[1]) and found[1][2] or nil
end
"""

PUBLISH = (
    _SHARED
    + """
-- ARGV: expert, id, body, lane, and so on
local function there(stream, entry) return #redis.call('XRANGE', stream, entry, entry) > 0 end
local new = false
for i = 1, #ARGV, 4 do
  local expert, id, body, lane = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  group(expert)
  local known = redis.call('HGET', key('known', expert), id)
  local before, entry = string.match(known or '', '^(.*):(.-)$')
  lane = before or lane
  local waiting = entry and there(waits(lane, expert), entry)
  if not waiting and not (known and not entry and there(key('stream', expert), known)) then
    entry = redis.call('XADD', waits(lane, expert), '*', 'batch', body, 'id', id)
    redis.call('HSET', key('known', expert), id, lane .. ':' .. entry)
    waiting, new = true, true
  end
  if waiting and not redis.call('LPOS', key('lanes', expert), lane) then
    redis.call('RPUSH', key('lanes', expert), lane)
  end
end
if new then ring() end
"""
)

CLAIM = (
    _SHARED
    + """
-- ARGV: expert, worker, its state, TTL in ms, entries it has already; gives {entry, body, delivery}
local expert, worker = ARGV[1], ARGV[2]
local stream = key('stream', expert)
group(expert)
sign_of_life(worker, ARGV[3], ARGV[4])
local has, count = {}, 0
for i = 5, #ARGV do has[ARGV[i]] = true; count = count + 1 end
-- What was claimed before is older than what was not.  An entry of the worker's own that it does
-- not have is one whose claim never reached it.
local function older(a, b)
  local am, as = string.match(a, '(%d+)-(%d+)')
  local bm, bs = string.match(b, '(%d+)-(%d+)')
  if am ~= bm then return tonumber(am) < tonumber(bm) end
  return tonumber(as) < tonumber(bs)
end
local best, last
for _, consumer in ipairs(consumers(expert)) do
  local name = consumer[1]
  if name == worker or not alive(name) then
    local most = name == worker and count + 1 or 1
    for _, one in ipairs(redis.call('XPENDING', stream, 'workers', '-', '+', most, name)) do
      local free = name ~= worker or not has[one[1]]
      if free and (not best or older(one[1], best[1])) then
        best, last = one, name ~= worker and tonumber(consumer[2]) == 1
      end
    end
  end
end
if best then
  local got = redis.call('XCLAIM', stream, 'workers', worker, '0', best[1])
  if last then redis.call('XGROUP', 'DELCONSUMER', stream, 'workers', best[2]) end
  if got[1] then return {got[1][1], got[1][2][2], best[4] + 1} end
end
local function read()
  return redis.call(
    'XREADGROUP', 'GROUP', 'workers', worker, 'COUNT', '1', 'STREAMS', stream, '>'
  )
end
-- Lets the lane whose turn it is put its oldest batch into the stream; false where none has any.
local function admit()
  local lanes = key('lanes', expert)
  local lane = redis.call('LPOP', lanes)
  while lane do
    local waiting = waits(lane, expert)
    local first = redis.call('XRANGE', waiting, '-', '+', 'COUNT', 1)[1]
    if first then
      redis.call('XDEL', waiting, first[1])
      if redis.call('XLEN', waiting) > 0 then redis.call('RPUSH', lanes, lane)
      else redis.call('DEL', waiting) end
      local entry = redis.call('XADD', stream, '*', 'batch', first[2][2])
      redis.call('HSET', key('known', expert), first[2][4], entry)
      return true
    end
    lane = redis.call('LPOP', lanes)
  end
  return false
end
-- First what is in the stream and was read by nobody: a group that is lost begins anew.
local got = read()
if not got and admit() then got = read() end
if not got then return false end
local entry = got[1][2][1]
return {entry[1], entry[2][2], 1}
"""
)

ACKNOWLEDGE = (
    _SHARED
    + """
-- ARGV: expert, entry, batch id
local stream, known = key('stream', ARGV[1]), key('known', ARGV[1])
redis.pcall('XACK', stream, 'workers', ARGV[2])
redis.call('XDEL', stream, ARGV[2])
if redis.call('HGET', known, ARGV[3]) == ARGV[2] then redis.call('HDEL', known, ARGV[3]) end
"""
)

RELEASE = (
    _SHARED
    + """
-- ARGV: expert, entry, worker
if owner(ARGV[1], ARGV[2]) == ARGV[3] then
  redis.call('XCLAIM', key('stream', ARGV[1]), 'workers', '-', '0', ARGV[2], 'JUSTID')
  ring()
end
"""
)

SETTLE = (
    _SHARED
    + """
-- ARGV: expert, worker, entries it has: it gives back all others of its own
local has, count, given = {}, 0, false
for i = 3, #ARGV do has[ARGV[i]] = true; count = count + 1 end
local stream = key('stream', ARGV[1])
local found = redis.pcall('XPENDING', stream, 'workers', '-', '+', count + 16, ARGV[2])
for _, one in ipairs(found) do
  if not has[one[1]] then
    redis.call('XCLAIM', stream, 'workers', '-', '0', one[1], 'JUSTID')
    given = true
  end
end
if given then ring() end
"""
)

DEPTHS = (
    _SHARED
    + """
-- gives {expert, entries, claimed} each
local found = {}
for _, expert in ipairs(redis.call('SMEMBERS', key('experts'))) do
  local length = redis.call('XLEN', key('stream', expert))
  for _, lane in ipairs(redis.call('LRANGE', key('lanes', expert), 0, -1)) do
    length = length + redis.call('XLEN', waits(lane, expert))
  end
  local claimed = 0
  for _, consumer in ipairs(consumers(expert)) do
    if alive(consumer[1]) then claimed = claimed + tonumber(consumer[2]) end
  end
  if length > 0 then found[#found + 1] = {expert, length, claimed} end
end
return found
"""
)

TAKE = (
    _SHARED
    + """
-- ARGV: expert, worker, its state, TTL in ms
sign_of_life(ARGV[2], ARGV[3], ARGV[4])
local holder = redis.call('HGET', key('holders'), ARGV[1])
if holder and holder ~= ARGV[2] and alive(holder) then return 0 end
redis.call('HSET', key('holders'), ARGV[1], ARGV[2])
return 1
"""
)

GIVE = (
    _SHARED
    + """
-- ARGV: expert, worker
if redis.call('HGET', key('holders'), ARGV[1]) == ARGV[2] then
  redis.call('HDEL', key('holders'), ARGV[1])
end
"""
)

HOLDERS = (
    _SHARED
    + """
-- gives expert, worker, and so on
local found, all = {}, redis.call('HGETALL', key('holders'))
for i = 1, #all, 2 do
  if alive(all[i + 1]) then
    found[#found + 1] = all[i]
    found[#found + 1] = all[i + 1]
  end
end
return found
"""
)

BEAT = (
    _SHARED
    + """
-- ARGV: worker, its state, TTL in ms
redis.call('SET', key('worker', ARGV[1]), ARGV[2], 'PX', ARGV[3])
redis.call('SADD', key('workers'), ARGV[1])
for _, name in ipairs(redis.call('SMEMBERS', key('workers'))) do
  if not alive(name) then forget(name) end
end
"""
)

LEAVE = (
    _SHARED
    + """
-- ARGV: worker
redis.call('DEL', key('worker', ARGV[1]))
forget(ARGV[1])
ring()
"""
)

WORKERS = (
    _SHARED
    + """
-- gives the states
local found = {}
for _, name in ipairs(redis.call('SMEMBERS', key('workers'))) do
  local state = redis.call('GET', key('worker', name))
  if state then found[#found + 1] = state end
end
return found
"""
)
