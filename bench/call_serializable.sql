-- One call of the peer of peer_serializable.sql for two seats.
SELECT peer.reserve_serializable(
    lpad(:show, 32, '0')::uuid, ARRAY[lpad(:a, 32, '0')::uuid, lpad(:b, 32, '0')::uuid], lpad(:k, 32, 's')
);
