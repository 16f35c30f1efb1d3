-- When the image of an asset was stored, ms since 1970, by its record of what was made.
local function stored_at(asset, made)
  made = made or call('GET', key('made', asset)) or ''
  if string.sub(made, 1, 1) == '{' then return tonumber(cjson.decode(made).at_ms) end
  return tonumber(string.match(made, '^%S+ %d+ %S+ %d+ (%d+) '))
end

