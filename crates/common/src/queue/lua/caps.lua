-- Sets caps, by hand or as settings have them, and notes who did.
-- ARGV[1]  {by: "settings"|"person"|"reset", who, why, days, caps: [{scope, name, amount?}]}: without an amount the cap is
--          lifted; what a person has set gives way to another person or to a reset, not to settings
-- Returns  for each cap "set" | "same" | "kept" (a person's stands) | "missing" (there is no such batch)
-- Complexity O(caps * log(queue)); resumes at most 100 flows of a tenant, the reaper others

local function purse_for(cap)
  if cap.scope == 'batch' then
    local purse = purse_of_batch(cap.name)
    return purse.state and purse, 1
  end
  local at = (cap.scope == 'day' or cap.scope == 'tenant_day') and 2 or 1
  if cap.name ~= '' then return purse_of_tenant(cap.name, TODAY), at end
  return purse_of_all(TODAY), at
end

local function set_one(cap)
  local purse, at = purse_for(cap)
  if not purse then return 'missing' end
  local mark = at == 2 and 'by:day' or 'by'
  if request.by == 'settings' and call('HGET', purse.name, mark) == 'person' then return 'kept' end
  local before, amount = purse.counters[at].cap, set(cap.amount) and num(cap.amount) or nil
  call('HSET', purse.name, mark, request.by == 'person' and 'person' or 'settings')
  if not recap(purse, at, amount) then return 'same' end
  call('XADD', key('audit'), 'MAXLEN', '~', 1000, '*', 'at', int(NOW), 'who', request.who, 'by', request.by, 'scope', cap.scope,
    'name', cap.name, 'from', before and int(before) or '', 'to', amount and int(amount) or '', 'why', request.why)
  return 'set'
end

local answers = {}
for i, cap in ipairs(request.caps) do answers[i] = set_one(cap) end
wake()
return answers
