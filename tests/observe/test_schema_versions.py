"""A live server of an older version and a newer shadow must tell the same schema alike."""

from migdoctor.shadow import server
from tests.observe.databases import driver
from tests.observe.test_schema_postgresql import ZOO, look
from tests.running import other_server

# The text of a view changes with the server's version: 16 leaves out needless qualifiers.
VIEWS = """
CREATE VIEW one AS SELECT * FROM users WHERE id > 3 AND email LIKE 'a.%';
CREATE VIEW grouped AS SELECT user_id, sum(total) AS s FROM orders GROUP BY user_id
  HAVING sum(total) > 3;
CREATE VIEW named AS WITH q AS (SELECT user_id FROM orders) SELECT q.user_id FROM q
  UNION SELECT id FROM users;
CREATE VIEW inner_one AS SELECT id,
  (SELECT max(o.total) FROM orders o WHERE o.user_id = users.id) AS m FROM users;
"""


def test_one_schema_has_the_same_facts_on_both() -> None:
    older, newest = other_server("older"), server.running()
    assert older is not None
    assert older.version < newest.version
    read = []
    for live in (older, newest):
        url = live.create("zoo")
        try:
            with driver(url) as connection:
                connection.execute((ZOO + VIEWS).encode())
            read.append(look(url).facts)
        finally:
            live.drop(url)
    assert read[0] == read[1]
    assert len(read[0]) > 40
