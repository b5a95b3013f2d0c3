# Copies the schema of the database that libpq's variables name, and the rows of some of its tables, into one that is
# made on another server. What cannot be made there is left out, and told on standard error.
#
# Standard input: the SQL that makes the roles and the database. $1 folder of programs, $2 folder for the dump, $3 the
# other server, $4 the copy, $5 the snapshot to read; the rest: tables whose rows are wanted.
set -eu
bindir=$1 dump=$2/copy.dump server=$3 copy=$4 snapshot=$5
shift 5
unset PGSERVICE # it would win over the other variables, and may name several hosts

# The programs for the copy, without the variables, which are not about it.
here() {
    program=$1
    shift
    env -i PATH="$PATH" LD_LIBRARY_PATH="${LD_LIBRARY_PATH-}" "$bindir/$program" "$@"
}

dump() {
    # Whoever holds ACCESS EXCLUSIVE for longer than this would keep us waiting unseen.
    "$bindir/pg_dump" --format=custom --file="$dump" --snapshot="$snapshot" --lock-wait-timeout=10s "$@"
}

# As text, of which a note is left out that 15.20 keeps among a column's options: its dumps set it, and another minor
# release of the same version refuses that, together with the table.
restore() {
    here pg_restore --file=- "$@" "$dump" \
        | sed '/^ALTER .* SET (pg_attver=[0-9]*);$/d' \
        | here psql --no-psqlrc --quiet --output=/dev/null --dbname="$copy"
}

here psql --no-psqlrc --quiet --dbname="$server"
dump --schema-only --no-tablespaces --no-publications --no-subscriptions
restore # and carry on after errors
for table; do
    dump --data-only --table="$table"
    restore --disable-triggers
done
