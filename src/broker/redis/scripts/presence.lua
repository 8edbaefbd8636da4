-- Who is there: clients and their records in turn.
-- KEYS: present, until, users
expire(now)
return redis.call('HGETALL', present)
