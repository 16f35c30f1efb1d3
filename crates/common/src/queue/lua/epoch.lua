-- Tells the epoch of the namespace; begins one where there is none.
-- ARGV[1]  {}
-- Returns  {the epoch, the time, µs}
-- Complexity O(1)

call('HSETNX', key('meta'), 'epoch', int(NOW))
return { epoch(), int(NOW) }
