-- One call of the peer of peer_client_order.sql for two seats.
SELECT peer.reserve_client_order(
    lpad(:show, 32, '0')::uuid, ARRAY[lpad(:a, 32, '0')::uuid, lpad(:b, 32, '0')::uuid], lpad(:k, 32, 's')
);
