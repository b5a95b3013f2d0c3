-- 0010: The box office.
-- A template, frozen by `ticketdb revision`.

-- drop: box_office/erase_customer.sql
DROP ROUTINE {{ schema }}.erase_customer;

-- drop: box_office/cancel_show.sql
DROP ROUTINE {{ schema }}.cancel_show;

-- drop: box_office/cancel_show_portion.sql
DROP ROUTINE {{ schema }}.cancel_show_portion;

-- drop: box_office/record_dispute.sql
DROP ROUTINE {{ schema }}.record_dispute;

-- drop: box_office/record_refund.sql
DROP ROUTINE {{ schema }}.record_refund;

-- drop: box_office/cancel_tickets.sql
DROP ROUTINE {{ schema }}.cancel_tickets;

-- drop: box_office/check_in_ticket.sql
DROP ROUTINE {{ schema }}.check_in_ticket;

-- drop: box_office/move_tickets.sql
DROP ROUTINE {{ schema }}.move_tickets;

-- drop: box_office/issue_tickets.sql
DROP ROUTINE {{ schema }}.issue_tickets;

-- drop: box_office/unblock_seats.sql
DROP ROUTINE {{ schema }}.unblock_seats;

-- drop: box_office/block_seats.sql
DROP ROUTINE {{ schema }}.block_seats;

-- drop: box_office/take_seats.sql
DROP ROUTINE {{ internal_schema }}.take_seats;

-- drop: box_office/lock_for_staff.sql
DROP ROUTINE {{ internal_schema }}.lock_for_staff;

-- drop: box_office/is_staff_request.sql
DROP ROUTINE {{ internal_schema }}.is_staff_request;

-- drop: box_office/log_staff_action.sql
DROP ROUTINE {{ internal_schema }}.log_staff_action;
