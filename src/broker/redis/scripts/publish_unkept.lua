-- Publishes, and keeps nothing.
-- ARGV: topic, record
redis.call('PUBLISH', ARGV[1], ARGV[2])
return ''
