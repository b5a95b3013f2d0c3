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

here psql --no-psqlrc --quiet --dbname="$server"
dump --schema-only --no-tablespaces --no-publications --no-subscriptions
here pg_restore --dbname="$copy" "$dump" || [ $? -eq 1 ] # after errors that it carried on after
for table; do
    dump --data-only --table="$table"
    here pg_restore --dbname="$copy" --disable-triggers "$dump"
done
