-- Who is there: clients and their records in turn.
-- KEYS: present, until, users
expire(clock())
return redis.call('HGETALL', present)
