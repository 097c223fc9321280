#!/bin/sh
# Makes a database for each service, and a role that owns it and can reach no other; run once, by the image of PostgreSQL.
set -eu

superuser() {
    psql --username "$POSTGRES_USER" --dbname "${1:-postgres}" --set ON_ERROR_STOP=1 --no-psqlrc --quiet
}

# Nobody may connect where they were not let in by name, and that also where a database is made from this one.
superuser <<SQL
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
SQL

for service in users products orders; do
    # From the environment and not from the command line, which every process may read.
    password=$(printenv "$(echo "$service" | tr '[:lower:]' '[:upper:]')_DB_PASSWORD")
    export password
    superuser <<SQL
\getenv password password
CREATE ROLE $service LOGIN PASSWORD :'password' CONNECTION LIMIT 60;
CREATE DATABASE $service OWNER $service TEMPLATE template0;
REVOKE ALL ON DATABASE $service FROM PUBLIC;
SQL
done
