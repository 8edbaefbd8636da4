-- Takes a client out.
-- KEYS: present, until, users
-- ARGV: client
take_out(ARGV[1])
return ''
