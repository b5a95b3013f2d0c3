-- Hot load: two different seats of one block of 20, in either order.
-- Prepended to a call_*.sql; :n is each client's own and survives from call to call.
\set n :n + 1
\set k :n * :clients + :client_id
\set a random(1, 20)
\set b (:a - 1 + random(1, 19)) % 20 + 1
\set show 1
