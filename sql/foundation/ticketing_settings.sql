-- The policy of the shop. A DBA changes it with UPDATE, and the next call uses it. Identifiers are
-- template variables instead.
CREATE TABLE {{ schema }}.ticketing_settings (
    singleton boolean NOT NULL DEFAULT true,
    hold_minutes integer NOT NULL DEFAULT 10,
    extension_minutes integer NOT NULL DEFAULT 5,
    max_extensions integer NOT NULL DEFAULT 3,
    max_hold_minutes integer NOT NULL DEFAULT 60,
    order_minutes integer NOT NULL DEFAULT 5,
    max_seats_per_reservation integer NOT NULL DEFAULT 10,
    max_seats_per_staff_order integer NOT NULL DEFAULT 2000,
    audit_retention_days integer NOT NULL DEFAULT 90,
    run_history_days integer NOT NULL DEFAULT 14,
    personal_data_retention_days integer NOT NULL DEFAULT 400,
    business_time_zone text NOT NULL DEFAULT 'UTC',
    async_conflict_log boolean NOT NULL DEFAULT false,
    CONSTRAINT ticketing_settings_pkey PRIMARY KEY (singleton),
    CONSTRAINT ticketing_settings_singleton_check CHECK (singleton),
    CONSTRAINT ticketing_settings_hold_minutes_check CHECK (hold_minutes BETWEEN 1 AND 1440),
    CONSTRAINT ticketing_settings_extension_minutes_check
    CHECK (extension_minutes BETWEEN 1 AND 1440),
    CONSTRAINT ticketing_settings_max_extensions_check CHECK (max_extensions BETWEEN 0 AND 100),
    CONSTRAINT ticketing_settings_max_hold_minutes_check
    CHECK (max_hold_minutes BETWEEN hold_minutes AND 10080),
    CONSTRAINT ticketing_settings_order_minutes_check
    CHECK (order_minutes BETWEEN 1 AND 1440),
    CONSTRAINT ticketing_settings_max_seats_per_reservation_check
    CHECK (max_seats_per_reservation BETWEEN 1 AND 1000),
    CONSTRAINT ticketing_settings_max_seats_per_staff_order_check
    CHECK (max_seats_per_staff_order BETWEEN 1 AND 100000),
    -- The longest window of a dashboard is a week.
    CONSTRAINT ticketing_settings_audit_retention_days_check
    CHECK (audit_retention_days BETWEEN 8 AND 36500),
    CONSTRAINT ticketing_settings_run_history_days_check
    CHECK (run_history_days BETWEEN 2 AND 3650),
    CONSTRAINT ticketing_settings_personal_data_retention_days_check
    CHECK (personal_data_retention_days BETWEEN 1 AND 36500),
    CONSTRAINT ticketing_settings_business_time_zone_check
    CHECK ({{ internal_schema }}.is_time_zone(business_time_zone))
);

INSERT INTO {{ schema }}.ticketing_settings DEFAULT VALUES;

-- The functions that sell read this row: without it nothing could be sold.
CREATE TRIGGER ticketing_settings_keep_row
BEFORE DELETE OR TRUNCATE ON {{ schema }}.ticketing_settings
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'Change the row with UPDATE.'
);

ALTER TABLE {{ schema }}.ticketing_settings ENABLE ALWAYS TRIGGER ticketing_settings_keep_row;

COMMENT ON TABLE {{ schema }}.ticketing_settings IS
'The policy of the shop, in one row. An UPDATE takes effect with the next call. The row cannot be '
'deleted.';
COMMENT ON COLUMN {{ schema }}.ticketing_settings.singleton IS 'Always true: there is one row.';
COMMENT ON COLUMN {{ schema }}.ticketing_settings.hold_minutes IS
'How long a new hold lasts, in minutes.';
COMMENT ON COLUMN {{ schema }}.ticketing_settings.extension_minutes IS
'How many minutes one extension adds to a hold.';
COMMENT ON COLUMN {{ schema }}.ticketing_settings.max_extensions IS
'How often a hold may be extended.';
COMMENT ON COLUMN {{ schema }}.ticketing_settings.max_hold_minutes IS
'The longest that a hold may last from its creation, extensions included, in minutes.';
COMMENT ON COLUMN {{ schema }}.ticketing_settings.order_minutes IS
'How many minutes to pay a buyer has at least: an order extends its hold to that.';
COMMENT ON COLUMN {{ schema }}.ticketing_settings.max_seats_per_reservation IS
'The most seats that one call of reserve_seats may hold.';
COMMENT ON COLUMN {{ schema }}.ticketing_settings.max_seats_per_staff_order IS
'The most tickets that one call of issue_tickets may issue.';
COMMENT ON COLUMN {{ schema }}.ticketing_settings.audit_retention_days IS
'For how many days audit and request logs are kept. purge_history() drops months that are older '
'as a whole.';
COMMENT ON COLUMN {{ schema }}.ticketing_settings.run_history_days IS
'For how many days the history of scheduled jobs is kept.';
COMMENT ON COLUMN {{ schema }}.ticketing_settings.personal_data_retention_days IS
'For how many days after their end holds and orders keep personal data.';
COMMENT ON COLUMN {{ schema }}.ticketing_settings.business_time_zone IS
'IANA time zone in which "today" begins on the dashboards.';
COMMENT ON COLUMN {{ schema }}.ticketing_settings.async_conflict_log IS
'Whether a call of reserve_seats() that is refused with SEATS_UNAVAILABLE commits without waiting '
'for the disk. Only for shops that call it in a transaction of its own.';
COMMENT ON CONSTRAINT ticketing_settings_singleton_check
ON {{ schema }}.ticketing_settings IS 'There is one row only.';
COMMENT ON CONSTRAINT ticketing_settings_hold_minutes_check ON {{ schema }}.ticketing_settings IS
'From a minute to a day.';
COMMENT ON CONSTRAINT ticketing_settings_extension_minutes_check
ON {{ schema }}.ticketing_settings IS
'From a minute to a day.';
COMMENT ON CONSTRAINT ticketing_settings_max_extensions_check ON {{ schema }}.ticketing_settings IS
'0 forbids extensions.';
COMMENT ON CONSTRAINT ticketing_settings_max_hold_minutes_check
ON {{ schema }}.ticketing_settings IS
'At least the length of a hold without extensions, at most a week.';
COMMENT ON CONSTRAINT ticketing_settings_order_minutes_check ON {{ schema }}.ticketing_settings IS
'From a minute to a day.';
COMMENT ON CONSTRAINT ticketing_settings_max_seats_per_reservation_check
ON {{ schema }}.ticketing_settings IS 'Limits the work of one call.';
COMMENT ON CONSTRAINT ticketing_settings_max_seats_per_staff_order_check
ON {{ schema }}.ticketing_settings IS 'Limits the work of one call.';
COMMENT ON CONSTRAINT ticketing_settings_audit_retention_days_check
ON {{ schema }}.ticketing_settings IS 'At least the longest window of a dashboard, a week.';
COMMENT ON CONSTRAINT ticketing_settings_run_history_days_check
ON {{ schema }}.ticketing_settings IS 'At least the 24 hours that cleanup_job_health looks back.';
COMMENT ON CONSTRAINT ticketing_settings_personal_data_retention_days_check
ON {{ schema }}.ticketing_settings IS 'From a day to a hundred years.';
COMMENT ON CONSTRAINT ticketing_settings_business_time_zone_check
ON {{ schema }}.ticketing_settings IS 'A time zone that the server knows.';
COMMENT ON TRIGGER ticketing_settings_keep_row ON {{ schema }}.ticketing_settings IS
'Refuses DELETE and TRUNCATE.';
