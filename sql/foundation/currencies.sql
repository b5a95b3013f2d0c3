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
