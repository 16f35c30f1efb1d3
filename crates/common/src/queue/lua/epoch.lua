-- Tells the epoch of the namespace; begins one where there is none.
-- ARGV[1]  {}
-- Returns  the epoch
-- Complexity O(1)

call('HSETNX', key('meta'), 'epoch', int(NOW))
return epoch()
