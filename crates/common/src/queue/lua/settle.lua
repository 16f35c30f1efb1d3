-- The rest of `settle`: permits that are given back or set right.

if rival then
  local lane = lane_of(rival.lane)
  refund(lane, num(a[3]), a[6])
  save(lane)
end
if more ~= 0 then
  local lane = lane_with(request.lane, 'tokens')
  settle_tokens(lane, more, a[6])
  save(lane)
end
return answer('done')
