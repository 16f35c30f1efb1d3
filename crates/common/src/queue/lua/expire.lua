-- Ends batches that are past their deadline; reapers do the same, but none may be alive.
-- ARGV[1]  {limit}
-- Returns  how many ended
-- Complexity O(limit * log(queue))

return expire_due(request.limit)
