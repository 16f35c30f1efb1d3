-- Turns one piece of news into notices, one for each endpoint that wants it; once, whoever comes first.
-- ARGV[1]  {news, batch?, at, notices: [{hook, id, type, about, body}], most}: most is how many may wait for an endpoint
-- Returns  {"ok"|"again", endpoint for each notice that was dropped for it...}
-- Complexity O(endpoints * log(notices))

if call('ZREM', key('news'), request.news) == 0 then return { 'again' } end
local batch = set(request.batch) and key('batch', request.batch)
if batch and call('EXISTS', batch) == 1 and num(call('HGET', batch, 'told')) < request.at then
  call('HSET', batch, 'told', int(request.at))
end

local answer = { 'ok' }
for _, notice in ipairs(request.notices) do
  local name, id = notice.hook, notice.id
  local record = key('notice', name, id)
  if call('EXISTS', key('hook', name)) == 1 and call('HSETNX', record, 'type', notice.type) == 1 then
    call('HSET', record, 'about', notice.about, 'body', notice.body, 'created', int(NOW), 'state', 'waiting')
    call('ZADD', key('notices', name), int(NOW), id)
    call('ZADD', key('notices_due', name), int(NOW), id)
    if call('ZCARD', key('notices', name)) > request.most then
      local oldest = call('ZPOPMIN', key('notices', name))[1]
      call('ZREM', key('notices_due', name), oldest)
      call('DEL', key('notice', name, oldest))
      call('HINCRBY', key('hook', name), 'dropped', 1)
      answer[#answer + 1] = name
    end
  end
end
return answer
