use conveyor_store::{
    Bytes, CommitError, Conflict, Direction, Error, ErrorKind, KeyRange, Limits, Page, Stats,
    Store, Transaction,
};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use std::ops::Bound;
use std::path::Path;

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");

/// redb behind the same trait, as far as the measurement needs.
pub(crate) struct Redb(Database);

impl Redb {
    pub(crate) fn open(path: &Path) -> Self {
        let database = Database::builder()
            .set_cache_size(12 << 20)
            .create(path)
            .unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(TABLE).unwrap();
        transaction.commit().unwrap();
        Self(database)
    }

    fn write(&self, transaction: &Transaction) -> Result<Option<Conflict>, redb::Error> {
        let mut write = self.0.begin_write()?;
        write
            .set_durability(Durability::Immediate)
            .expect("no savepoint is open");
        {
            let mut table = write.open_table(TABLE)?;
            for compare in &transaction.compares {
                let found = table.get(compare.key.as_ref())?;
                let found = found.map(|found| Bytes::copy_from_slice(found.value()));
                if !compare.expected.matches(found.as_deref()) {
                    return Ok(Some(Conflict {
                        key: compare.key.clone(),
                        found,
                    }));
                }
            }
            for (key, value) in &transaction.puts {
                table.insert(key.as_ref(), value.as_ref())?;
            }
            for key in &transaction.deletes {
                table.remove(key.as_ref())?;
            }
        }
        write.commit()?;
        Ok(None)
    }
}

impl Store for Redb {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let table = self
            .0
            .begin_read()
            .map_err(foreign)?
            .open_table(TABLE)
            .map_err(foreign)?;
        let found = table.get(key).map_err(foreign)?;
        Ok(found.map(|found| Bytes::copy_from_slice(found.value())))
    }

    fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Page, Error> {
        let table = self
            .0
            .begin_read()
            .map_err(foreign)?
            .open_table(TABLE)
            .map_err(foreign)?;
        let end = range
            .end
            .as_deref()
            .map_or(Bound::Unbounded, Bound::Excluded);
        let found = table.range::<&[u8]>((Bound::Included(range.start.as_ref()), end));
        let found = found.map_err(foreign)?;
        let mut page = Page::default();
        let found: Box<dyn Iterator<Item = _>> = match direction {
            Direction::Forward => Box::new(found),
            Direction::Reverse => Box::new(found.rev()),
        };
        for entry in found.take(limit) {
            let (key, value) = entry.map_err(foreign)?;
            page.entries.push((
                Bytes::copy_from_slice(key.value()),
                Bytes::copy_from_slice(value.value()),
            ));
        }
        Ok(page)
    }

    fn commit(&self, transaction: &Transaction) -> Result<(), CommitError> {
        match self.write(transaction) {
            Ok(None) => Ok(()),
            Ok(Some(conflict)) => Err(CommitError::Conflict(conflict)),
            Err(error) => Err(CommitError::Unknown(foreign(error))),
        }
    }

    fn limits(&self) -> Limits {
        Limits::LOCAL
    }

    fn stats(&self) -> Result<Stats, Error> {
        Ok(Stats::default())
    }
}

fn foreign(error: impl Into<redb::Error>) -> Error {
    Error::new(ErrorKind::Io, "redb").caused_by(error.into())
}
