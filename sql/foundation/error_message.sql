-- The message for each error code, written once. The guide's queries search for the words of the
-- first two.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.error_message(p_error_code text)
RETURNS text
LANGUAGE sql
IMMUTABLE
RETURN
CASE p_error_code
    WHEN 'SEATS_UNAVAILABLE' THEN 'One or more seats were taken by another customer'
    WHEN 'DOUBLE_BOOKING_PREVENTED'
        THEN 'Database constraint prevented double-booking: reservation_seats_no_double_booking'
    WHEN 'INVALID_INPUT' THEN 'The input is not valid'
    WHEN 'SHOW_NOT_ON_SALE' THEN 'The show does not exist or is not on sale'
    WHEN 'TOO_MANY_SEATS' THEN 'More seats than one reservation may hold'
    WHEN 'DUPLICATE_RESERVATION' THEN 'The session already holds seats of this show'
    WHEN 'SEATS_NOT_FOUND' THEN 'One or more seats are not part of this show or reservation'
    WHEN 'NOT_FOUND' THEN 'There is no such reservation, order, ticket, refund or show'
    WHEN 'PERMISSION_DENIED' THEN 'The reservation belongs to another session'
    WHEN 'RESERVATION_INACTIVE' THEN 'The reservation has ended'
    WHEN 'RESERVATION_EXPIRED' THEN 'The reservation is over'
    WHEN 'MAX_EXTENSIONS_REACHED' THEN 'The reservation cannot be extended any further'
    WHEN 'IDEMPOTENCY_KEY_REUSED'
        THEN 'The idempotency key was used for another reservation, or for an order that is over'
    WHEN 'AMOUNT_MISMATCH' THEN 'The amount paid is not the amount of the order'
    WHEN 'ORDER_NOT_PAYABLE' THEN 'The order can no longer be paid'
    WHEN 'ORDER_NOT_REFUNDABLE' THEN 'The order has not been paid or was refunded before'
    WHEN 'EVENT_MISMATCH'
        THEN 'The event came before with another amount, refund or other seats'
    WHEN 'ORDER_EXISTS' THEN 'The reservation has been ordered'
    WHEN 'SEATS_SOLD' THEN 'One or more seats are sold'
    WHEN 'SEATS_HELD' THEN 'One or more seats are held by buyers'
    WHEN 'SEATS_NOT_BLOCKED' THEN 'One or more seats are not blocked'
    WHEN 'TOO_MANY_TICKETS' THEN 'More tickets than one order of the staff may have'
    WHEN 'TICKETS_NOT_FOUND' THEN 'One or more tickets do not exist or are not valid'
    WHEN 'TICKET_NOT_VALID' THEN 'The ticket was cancelled or refunded'
    WHEN 'ALREADY_USED' THEN 'The ticket was used before'
    WHEN 'ALREADY_REFUNDED' THEN 'The money was returned before'
    WHEN 'BUSY' THEN 'Somebody else is working on it at this moment, try again'
    -- Without the message of the server: dashboards count errors with the word constraint as
    -- prevented double bookings.
    WHEN 'INTERNAL_ERROR' THEN 'Unexpected error, see metadata of the audit log'
END;

COMMENT ON FUNCTION {{ internal_schema }}.error_message(text) IS
'The message for an error code of the functions that sell.';
