# Copies the schema of the database that libpq's variables name, and the rows of some of its tables, into a new database
# on another server. Objects that cannot be created there are left out, with an error on standard error.
#
# Standard input: the SQL that creates the roles and the database. $1 folder of programs, $2 folder for the dump, $3 the
# other server, $4 the copy, $5 the snapshot to read; the rest: tables whose rows are wanted.
set -eu
bindir=$1 dump=$2/copy.dump server=$3 copy=$4 snapshot=$5
shift 5
unset PGSERVICE # it would override the other variables, and may name several hosts

# Run a program for the copy: without libpq's variables, which name the original.
here() {
    program=$1
    shift
    env -i PATH="$PATH" LD_LIBRARY_PATH="${LD_LIBRARY_PATH-}" "$bindir/$program" "$@"
}

dump() {
    # A session that holds ACCESS EXCLUSIVE for longer would block the dump without any message.
    "$bindir/pg_dump" --format=custom --file="$dump" --snapshot="$snapshot" --lock-wait-timeout=10s "$@"
}

# As text, without an option that 15.20 keeps on each column: its dumps set it, and another minor release of the same
# version refuses that, together with the table.
restore() {
    here pg_restore --file=- "$@" "$dump" \
        | sed '/^ALTER .* SET (pg_attver=[0-9]*);$/d' \
        | here psql --no-psqlrc --quiet --output=/dev/null --dbname="$copy"
}

here psql --no-psqlrc --quiet --dbname="$server"
dump --schema-only --no-tablespaces --no-publications --no-subscriptions
restore # continues after errors
for table; do
    dump --data-only --table="$table"
    restore --disable-triggers
done
