-- When the image of a done asset was stored, ms since 1970. Nothing of one that must stay: some who asked have not counted it, or
-- an earlier request for it may have been paid for, which only its hash takes back. `a` is the asset's hash.
local function stored_at(asset, a)
  if a.phase ~= 'done' or a.parting or a.counting then return nil end
  for field in pairs(a) do
    if string.find(field, '^unknown:') then return nil end
  end
  local made = a.made or call('GET', key('made', asset)) or ''
  if string.sub(made, 1, 1) == '{' then return tonumber(cjson.decode(made).at_ms) end
  return tonumber(string.match(made, '^%S+ %d+ %S+ %d+ (%d+) '))
end

