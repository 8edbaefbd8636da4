-- How many are there, and of how many users.
-- KEYS: present, until, users
expire(now)
return {redis.call('HLEN', present), math.max(redis.call('HLEN', users) - 1, 0)}
