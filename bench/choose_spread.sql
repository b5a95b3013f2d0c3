-- Spread load: the next two neighbouring seats of a random order in which every pair of the 200,000 seats comes once.
-- Prepended to a call_*.sql; :n is each client's own and survives from call to call.
\set n :n + 1
\set k :n * :clients + :client_id
\set a permute(:k, :seats / 2) * 2 + 1
\set b :a + 1
\set show (:a - 1) / (:seats / :shows) + 1
