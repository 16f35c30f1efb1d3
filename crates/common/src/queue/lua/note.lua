-- Notes what somebody did, for whoever asks later. Keeps the newest ten thousand, about.
-- ARGV[1]  {who, what, of, count, why}: texts, but for the count
-- Returns  the id of the note
-- Complexity O(1)

return call('XADD', key('notes'), 'MAXLEN', '~', 10000, '*', 'at', int(NOW), 'who', request.who, 'what', request.what,
  'of', request.of, 'count', int(request.count), 'why', request.why)
