-- 0001: Schemas, roles, ledger and settings.
-- A template, frozen by `ticketdb revision`.

-- object: foundation/monitoring.sql sha256=d63f9e284aa7a3f15f5bc471190304ebec7f9e4568f7f13c982adbcc9c3c5726
-- The schema that Grafana, Datadog, Prometheus and Nagios read. The application writes nothing
-- here.
CREATE SCHEMA {{ monitoring_schema }};

COMMENT ON SCHEMA {{ monitoring_schema }} IS
'ticketdb: views for dashboards and alerts. Read-only, aggregated, free of personal data.';

-- object: foundation/roles.sql sha256=41a57840073ee89365ee87e4572e5e9920a2030e1199c1892a812093d9cfa0b9
-- Roles are shared by all databases of a server. A role that exists already is used as it is, since
-- the migrator need not have ADMIN on it, and is never dropped.
{% if manage_roles %}
DO $body$
DECLARE
    v_role record;
    v_setting record;
BEGIN
    FOR v_role IN
        SELECT *
        FROM (
            VALUES
            (
                {{ app_role | literal }}, NULL,
                'ticketdb: the application. Calls the functions that sell seats and reads the '
                'seat map.'
            ),
            (
                {{ box_office_role | literal }}, NULL,
                'ticketdb: the staff. Sets up shows, and calls the functions of the box office.'
            ),
            (
                {{ monitor_role | literal }}, NULL,
                'ticketdb: reads monitoring views and columns without personal data.'
            ),
            -- Several dashboards, each with a pool.
            (
                {{ dashboard_role | literal }}, 20,
                'ticketdb: login of the dashboards. Has no password until the DBA sets one.'
            ),
            -- An agent opens one connection for each thing that it checks.
            (
                {{ datadog_role | literal }}, 10,
                'ticketdb: login of the Datadog agent. Has no password until the DBA sets one.'
            )
        ) AS wanted (role_name, connection_limit, description)
        WHERE to_regrole(quote_ident(wanted.role_name)) IS NULL
    LOOP
        EXECUTE format('CREATE ROLE %I', v_role.role_name);
        -- revert and verify recognise ticketdb's roles by the last words: a role that existed
        -- before is neither dropped nor compared.
        EXECUTE format(
            'COMMENT ON ROLE %I IS %L',
            v_role.role_name,
            v_role.description || ' Created by ticketdb.'
        );
        CONTINUE WHEN v_role.connection_limit IS NULL;

        EXECUTE format(
            'ALTER ROLE %I LOGIN CONNECTION LIMIT %s', v_role.role_name, v_role.connection_limit
        );
        -- Members do not inherit the settings of a role: each login needs its own. A login may
        -- change them for itself, so they only prevent accidents; the connection limit is enforced.
        FOR v_setting IN
            SELECT *
            FROM (
                VALUES
                ('statement_timeout', '4s'),
                -- An open transaction that has read a log blocks the drop of its partitions.
                ('idle_in_transaction_session_timeout', '10s')
            ) AS wanted (setting_name, setting_value)
        LOOP
            EXECUTE format(
                'ALTER ROLE %I SET %I = %L',
                v_role.role_name,
                v_setting.setting_name,
                v_setting.setting_value
            );
        END LOOP;
    END LOOP;

    FOR v_role IN
        SELECT
            member.rolname AS role_name,
            member.rolinherit AS inherits
        FROM pg_roles AS member
        WHERE
            member.rolname IN ({{ dashboard_role | literal }}, {{ datadog_role | literal }})
            AND NOT pg_has_role(member.oid, {{ monitor_role | literal }}, 'USAGE')
    LOOP
        -- A role that does not inherit gets no privileges from a membership, except, from
        -- PostgreSQL 16 on, from one WITH INHERIT TRUE.
        IF v_role.inherits THEN
            EXECUTE format('GRANT %I TO %I', {{ monitor_role | literal }}, v_role.role_name);
        ELSIF current_setting('server_version_num')::integer >= 160000 THEN
            EXECUTE format(
                'GRANT %I TO %I WITH INHERIT TRUE', {{ monitor_role | literal }}, v_role.role_name
            );
        ELSE
            RAISE EXCEPTION 'role % does not inherit: it could not read the monitoring views',
                v_role.role_name
            USING
                ERRCODE = 'invalid_role_specification',
                HINT = 'ALTER ROLE ... INHERIT, or choose another name in ticketdb.toml.';
        END IF;
    END LOOP;
END;
$body$;

GRANT USAGE ON SCHEMA {{ schema }}
TO {{ app_role }}, {{ box_office_role }}, {{ monitor_role }};
GRANT USAGE ON SCHEMA {{ monitoring_schema }} TO {{ monitor_role }};
{% endif %}

-- object: foundation/is_own_work.sql sha256=6220053a7c44775b2081977fbfdc7ea374ff1588e47f8b1e89edd5dcba2c1dbd
-- For revoke_default_privileges(). A row that is visible although its transaction is in progress
-- can only be the caller's own. To compare xmin with the transaction's id would miss what was
-- written within a savepoint, such as those that psql sets with ON_ERROR_ROLLBACK.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.is_own_work(p_xmin xid)
RETURNS boolean
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT
    CASE
        -- A savepoint gets its id later than its transaction.
        WHEN age(p_xmin) <= age(pg_current_xact_id()::xid)
            THEN pg_xact_status(
                (
                    pg_current_xact_id()::text::bigint
                    + age(pg_current_xact_id()::xid)
                    - age(p_xmin)
                )::text::xid8
            ) = 'in progress'
        ELSE false
    END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.is_own_work(xid) IS
'Whether the caller''s own transaction wrote the row with this xmin, which the caller can see.';

-- object: foundation/revoke_default_privileges.sql sha256=ba44d43aee0d790644f205f4095b65a1f66ef9bb834a0f17f62a0a5ef630f93a
-- Called at the end of every revision and by maintain_partitions(). Objects that the current
-- transaction has created in ticketdb's schemas keep the privileges that ticketdb grants, and lose
-- those that ALTER DEFAULT PRIVILEGES or PostgreSQL itself gives. Otherwise PUBLIC could execute
-- every function, and Supabase's anon could read every table.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.revoke_default_privileges()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_schemas constant text[] := ARRAY[
        {{ schema | literal }}, {{ monitoring_schema | literal }}, {{ internal_schema | literal }}
    ];
    v_stray record;
BEGIN
    FOR v_stray IN
        WITH created AS (
            SELECT
                CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
                format('%I.%I', n.nspname, c.relname) AS identity,
                c.relowner AS owner,
                COALESCE(
                    c.relacl,
                    acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)
                ) AS acl
            FROM pg_class AS c
            INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE
                n.nspname = ANY(v_schemas)
                AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
                AND {{ internal_schema }}.is_own_work(c.xmin)
            UNION ALL
            SELECT
                'ROUTINE',
                format(
                    '%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)
                ),
                p.proowner,
                COALESCE(p.proacl, acldefault('f', p.proowner))
            FROM pg_proc AS p
            INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
            WHERE
                n.nspname = ANY(v_schemas)
                AND {{ internal_schema }}.is_own_work(p.xmin)
            UNION ALL
            SELECT
                'SCHEMA',
                quote_ident(n.nspname),
                n.nspowner,
                COALESCE(n.nspacl, acldefault('n', n.nspowner))
            FROM pg_namespace AS n
            WHERE
                n.nspname IN ({{ monitoring_schema | literal }}, {{ internal_schema | literal }})
                AND {{ internal_schema }}.is_own_work(n.xmin)
        )

        SELECT DISTINCT
            format(
                'REVOKE ALL ON %s %s FROM %s', c.kind, c.identity,
                COALESCE(quote_ident(r.rolname), 'PUBLIC')
            ) AS statement
        FROM created AS c
        CROSS JOIN LATERAL aclexplode(c.acl) AS privilege
        LEFT JOIN pg_roles AS r ON r.oid = privilege.grantee
        WHERE
            privilege.grantee <> c.owner
            AND r.rolname IS DISTINCT FROM {{ app_role | literal }}
            AND r.rolname IS DISTINCT FROM {{ box_office_role | literal }}
            AND r.rolname IS DISTINCT FROM {{ monitor_role | literal }}
            -- Called by a default and a check of tables: every role that inserts needs them, and
            -- can call them in no other way, since only the owner has USAGE on their schema.
            AND NOT (
                privilege.grantee = 0
                AND c.identity IN (
                    format('%I.uuid_v7()', {{ internal_schema | literal }}),
                    format('%I.is_time_zone(p_name text)', {{ internal_schema | literal }})
                )
            )
    LOOP
        EXECUTE v_stray.statement;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.revoke_default_privileges() IS
'Revokes what default privileges gave to other roles on the objects that the current transaction '
'has created. For migrations and new partitions.';

-- object: foundation/uuid_v7.sql sha256=c1c5de9bcd5597545f437b08d11fe2b5a338a841b8cf644bf5ffb2cc0cd6aaa0
-- Default of every id. Time-ordered keys fill B-tree pages from left to right, with a twentieth of
-- the WAL of random ones.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.uuid_v7()
RETURNS uuid
LANGUAGE sql
VOLATILE
PARALLEL SAFE
-- RFC 9562: 48 bits of milliseconds in front of a random version 4, whose version nibble 0100
-- becomes 0111.
RETURN
encode(
    set_bit(
        set_bit(
            substring(int8send((extract(EPOCH FROM clock_timestamp()) * 1000)::bigint), 3)
            || substring(uuid_send(gen_random_uuid()), 7),
            52, 1
        ),
        53, 1
    ),
    'hex'
)::uuid;

COMMENT ON FUNCTION {{ internal_schema }}.uuid_v7() IS
'A new time-ordered UUID, version 7: 48 bits of Unix milliseconds, 74 random bits.';

-- A default calls it with the privileges of the role that inserts: see revoke_default_privileges().
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.uuid_v7() TO PUBLIC;

-- object: foundation/is_time_zone.sql sha256=a4401b3c5525a0cc6e3c427d70bf5ad2d195c1a0f454349201752fcd1b0dcb7c
-- For CHECK constraints. Tries to use the zone, since pg_timezone_names reads the whole zone
-- directory (0.2 s). The pattern excludes POSIX specifications such as Foo/Bar+3, which PostgreSQL
-- would accept as a zone of that offset.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.is_time_zone(p_name text)
RETURNS boolean
LANGUAGE plpgsql
IMMUTABLE
STRICT
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF p_name !~ '^(UTC|GMT|Etc/GMT[+-]?[0-9]{1,2}|[A-Z][A-Za-z_]+(/[A-Za-z_-]+)+)$' THEN
        RETURN false;
    END IF;
    PERFORM timezone(p_name, 'epoch'::timestamptz);
    RETURN true;
EXCEPTION
    WHEN invalid_parameter_value THEN
        RETURN false;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.is_time_zone(text) IS
'Whether the server knows this IANA time zone, such as Europe/Berlin.';

-- A check calls it with the privileges of the role that inserts: see revoke_default_privileges().
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.is_time_zone(text) TO PUBLIC;

-- object: foundation/refuse_change.sql sha256=b217e35b4088a949248f82d433d2bf8f0516b7b1cc717bb4363857752453447c
-- Trigger function of tables that must not be changed in some way. The trigger's argument becomes
-- the hint of the error: what to do instead.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.refuse_change()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    RAISE EXCEPTION '% on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation', HINT = TG_ARGV[0];
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.refuse_change() IS
'Trigger function: raises restrict_violation (23001) with its argument as the hint. Guards '
'append-only tables, rows that must not be deleted, and the one row of settings.';

-- object: foundation/ticketdb_migrations.sql sha256=e64b908b8cb424ea2f288a27642033130c5805b8acf45d52b49657b6d44cfb83
-- The ledger. ticketdb writes it in the transaction of each revision; verify and apply compare it
-- with the package.
CREATE TABLE {{ internal_schema }}.ticketdb_migrations (
    revision text NOT NULL,
    source_sha256 text NOT NULL,
    rendered_sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    applied_by text NOT NULL DEFAULT session_user,
    duration_seconds double precision NOT NULL,
    package_version text NOT NULL,
    variables jsonb NOT NULL,
    CONSTRAINT ticketdb_migrations_pkey PRIMARY KEY (revision),
    CONSTRAINT ticketdb_migrations_applied_at_check CHECK (isfinite(applied_at)),
    CONSTRAINT ticketdb_migrations_source_sha256_check CHECK (source_sha256 ~ '^[0-9a-f]{64}$'),
    CONSTRAINT ticketdb_migrations_rendered_sha256_check CHECK (rendered_sha256 ~ '^[0-9a-f]{64}$')
);

COMMENT ON TABLE {{ internal_schema }}.ticketdb_migrations IS
'Ledger of applied revisions: what ran, when, by whom, and the checksums that prove it.';
COMMENT ON COLUMN {{ internal_schema }}.ticketdb_migrations.revision IS
'Revision id, as in alembic.';
COMMENT ON COLUMN {{ internal_schema }}.ticketdb_migrations.source_sha256 IS
'SHA-256 (hex) of the frozen template file.';
COMMENT ON COLUMN {{ internal_schema }}.ticketdb_migrations.rendered_sha256 IS
'SHA-256 (hex) of the SQL that was sent, after the variables were filled in.';
COMMENT ON COLUMN {{ internal_schema }}.ticketdb_migrations.applied_at IS
'Start of the transaction that applied it.';
COMMENT ON COLUMN {{ internal_schema }}.ticketdb_migrations.applied_by IS
'The role that had logged in.';
COMMENT ON COLUMN {{ internal_schema }}.ticketdb_migrations.duration_seconds IS
'How long its SQL ran, in seconds.';
COMMENT ON COLUMN {{ internal_schema }}.ticketdb_migrations.package_version IS
'Version of the ticketdb package that ran it.';
COMMENT ON COLUMN {{ internal_schema }}.ticketdb_migrations.variables IS
'Template variables that it was rendered with: names of schemas, roles and jobs.';
COMMENT ON CONSTRAINT ticketdb_migrations_source_sha256_check
ON {{ internal_schema }}.ticketdb_migrations IS 'A SHA-256 has 64 hexadecimal digits.';
COMMENT ON CONSTRAINT ticketdb_migrations_rendered_sha256_check
ON {{ internal_schema }}.ticketdb_migrations IS 'A SHA-256 has 64 hexadecimal digits.';

-- object: foundation/ticketing_settings.sql sha256=9427eab4bca732000303ba1227319967ff868be98da5d943288113135e9a3b81
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

-- object: foundation/currencies.sql sha256=f05222824f4af9818904cceb8d13f8474d75153e71b8f1741be769a7457410e0
-- The currencies that shows are sold in. Amounts are stored in the minor unit that payment
-- providers charge in, and how many of those make one unit differs: 100 cents a euro, no smaller
-- unit of the yen, 1,000 fils a dinar.
CREATE TABLE {{ schema }}.currencies (
    code text NOT NULL,
    decimals smallint NOT NULL,
    CONSTRAINT currencies_pkey PRIMARY KEY (code),
    CONSTRAINT currencies_code_check CHECK (code ~ '^[A-Z]{3}$'),
    CONSTRAINT currencies_decimals_check CHECK (decimals IN (0, 2, 3))
);

-- ISO 4217 without funds, metals and codes for testing. A DBA adds new ones.
INSERT INTO {{ schema }}.currencies (code, decimals)
SELECT
    listed.code,
    listing.decimals
FROM (
    VALUES
    (0, '
        BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF
    '),
    (2, '
        AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN
        BZD CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS
        GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR
        LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD
        PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN
        SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR
        ZMW ZWG
    '),
    (3, '
        BHD IQD JOD KWD LYD OMR TND
    ')
) AS listing (decimals, codes)
CROSS JOIN LATERAL regexp_split_to_table(listing.codes, '[[:space:]]+') AS listed (code)
WHERE listed.code <> '';

COMMENT ON TABLE {{ schema }}.currencies IS
'Currencies that a show can be sold in (ISO 4217), with their number of decimals.';
COMMENT ON COLUMN {{ schema }}.currencies.code IS 'ISO 4217 code.';
COMMENT ON COLUMN {{ schema }}.currencies.decimals IS
'Decimals of the currency: to print an amount, divide it by ten to the power of this. 0: JPY; 2: '
'EUR; 3: KWD.';
COMMENT ON CONSTRAINT currencies_code_check ON {{ schema }}.currencies IS
'A currency code: three capital letters.';
COMMENT ON CONSTRAINT currencies_decimals_check ON {{ schema }}.currencies IS
'The numbers of decimals that payment providers use.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ schema }}.currencies
TO {{ app_role }}, {{ box_office_role }}, {{ monitor_role }};
{% endif %}

-- object: foundation/error_message.sql sha256=01cb006633803cb663c4aa81215539b4bf60feefe217ac1eb5c54a225ce16669
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

-- object: foundation/event_type.sql sha256=30d50672e0e238c01081e865de514457bdb8c21881539cbd8da5244bfd4d6b4d
-- For seat_reservation_audit_log. A domain, since that log is on the hot path: each statement that
-- writes parses every CHECK of the table again, and this one took 5 % of a hold and 15 % of a
-- refusal.
CREATE DOMAIN {{ internal_schema }}.event_type AS text
CONSTRAINT event_type_check CHECK (
    value IN (
        'created', 'extended', 'released', 'expired', 'completed', 'failed', 'added', 'priced',
        'transferred', 'blocked', 'unblocked', 'issued', 'moved', 'refunded', 'checked_in',
        'erased'
    )
);

COMMENT ON DOMAIN {{ internal_schema }}.event_type IS
'Events of seat_reservation_audit_log; its column event_type explains them.';

-- object: foundation/wait_for_others.sql sha256=43ec39769f2c4351bbc947ad2ae796c51f911ffb84cf4316ce3edec50d2843e3
-- Called by the functions that sell when a wait for a lock has timed out: sets lock_timeout for the
-- next attempt, and reports whether there is time for one. One statement may wait many times, and
-- lock_timeout limits each wait, not their sum. So each wait is short; the block with the exception
-- clause then releases what was locked so far, so that nobody waits long for a session that waits
-- itself; and everything is tried again, with a new snapshot, until the time is up. A wait is also
-- shorter than deadlock_timeout: a DBA who locks seats in another order gets them before PostgreSQL
-- looks for a deadlock.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.wait_for_others(
    p_since timestamptz,
    p_rows integer DEFAULT 10
)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    -- In milliseconds. Two seconds are promised: the rest is for the last attempt, and for its row
    -- in a log that may be locked, too.
    v_left constant integer := (
        1700 - 1000 * extract(EPOCH FROM clock_timestamp() - p_since)
    )::integer;
BEGIN
    -- A row may cost two waits: for the place at the head of its queue, and for the session that
    -- has it. 0 would mean no limit.
    PERFORM set_config(
        'lock_timeout',
        CASE
            WHEN v_left > 0 THEN GREATEST(1, v_left / (2 * GREATEST(p_rows, 10)))
            ELSE 250
        END::text,
        true
    );
    RETURN v_left > 0;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.wait_for_others(timestamptz, integer) IS
'Sets lock_timeout so that waiting for p_rows rows ends within two seconds of p_since, when the '
'call began. The caller''s SET lock_timeout restores it at the end. Returns whether there is time '
'for another attempt.';

-- object: foundation/time_for_the_log.sql sha256=353f90e2641067e31c05d1509a43a6dfaffc8fd6b1164ad932c4dabbf90b934b
-- For the lock_timeout of the row in the log with which a refused call ends. A log may be locked,
-- or its file may take long to grow on a busy disk, and no call is answered without its row: so it
-- waits for what is left of the two seconds. wait_for_others() leaves a quarter.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.time_for_the_log()
RETURNS text
LANGUAGE sql
VOLATILE
RETURN CASE
    WHEN clock_timestamp() < statement_timestamp() + interval '450 ms' THEN '1500' ELSE '250'
END;

COMMENT ON FUNCTION {{ internal_schema }}.time_for_the_log() IS
'How many milliseconds a refused call may wait for its row in the log: so many that it ends within '
'two seconds since the statement of the client began, and at least 250.';

-- object: foundation/commit_durably.sql sha256=6c353fd1312ea553c3f17c4d2715661a74141b91e4913ccb01e3a9134ec54ecc
-- Called by the functions that create or settle orders: if the session has synchronous_commit off
-- or local, this transaction gets on, so that what was acknowledged survives a crash. Stricter
-- settings stay.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.commit_durably()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    -- Not a SET clause of the function: that would end with it, before the commit.
    IF current_setting('synchronous_commit') IN ('off', 'local') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.commit_durably() IS
'Sets synchronous_commit to on until the end of the transaction, if it is off or local.';

-- privileges
SELECT {{ internal_schema }}.revoke_default_privileges();
