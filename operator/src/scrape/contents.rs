//! Contents of Secrets and ConfigMaps of others, as far as objects refer to them.
//!
//! What an object is built with is written down, so that the object is built again when one of these changes, and
//! never otherwise. What is not known yet is written down too: it is read, and the object is built again.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::assets::{AssetError, Assets};
use super::references::UNSEEN;

/// What holds a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

impl Holder {
    /// The kind as the API names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }
}

/// Which Secret or ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// What it is.
    pub holder: Holder,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What a Secret or a ConfigMap holds.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// There is no such object.
    Missing,
    /// Its data by key.
    Keys(BTreeMap<String, Vec<u8>>),
    /// It was not looked at: every key is taken to be there, and what it holds is [`UNSEEN`].
    Unseen,
}

/// A content as it was read. It is compared by where it is: what was read again is another.
pub type Held = Arc<Content>;

/// The contents that are known.
pub type Known = HashMap<Place, Held>;

/// What an object was built with.
pub type Used = BTreeMap<Place, Held>;

/// Whether all that an object was built with is still what is known.
pub fn is_current(used: &Used, known: &Known) -> bool {
    used.iter().all(|(place, held)| known.get(place).is_some_and(|now| Arc::ptr_eq(now, held)))
}

/// Looks contents up among those that are known, and writes down what was asked for.
pub struct Lookup<'a> {
    known: &'a Known,
    asked: RefCell<BTreeSet<Place>>,
}

impl<'a> Lookup<'a> {
    /// A lookup of which nothing was asked yet.
    pub fn new(known: &'a Known) -> Self {
        Self { known, asked: RefCell::default() }
    }

    /// What was asked for and is known.
    pub fn used(&self) -> Used {
        let asked = self.asked.borrow();
        asked.iter().filter_map(|place| Some((place.clone(), self.known.get(place)?.clone()))).collect()
    }

    /// What was asked for and is not known: what was built has to be built again.
    pub fn unknown(&self) -> BTreeSet<Place> {
        self.asked.borrow().iter().filter(|place| !self.known.contains_key(place)).cloned().collect()
    }

    fn content(&self, holder: Holder, namespace: &str, name: &str, key: &str) -> Result<&[u8], AssetError> {
        let place = Place { holder, namespace: namespace.to_owned(), name: name.to_owned() };
        let held = self.known.get(&place);
        self.asked.borrow_mut().insert(place);
        // What is built with what is not known is built again: taken to be there, all that it refers to is named at
        // once.
        match held.map_or(&Content::Unseen, AsRef::as_ref) {
            Content::Missing => Err(AssetError::NoObject),
            Content::Keys(keys) => keys.get(key).map(Vec::as_slice).ok_or(AssetError::NoKey),
            Content::Unseen => Ok(UNSEEN.as_bytes()),
        }
    }
}

impl Assets for Lookup<'_> {
    fn secret(&self, namespace: &str, name: &str, key: &str) -> Result<&[u8], AssetError> {
        self.content(Holder::Secret, namespace, name, key)
    }

    fn config_map(&self, namespace: &str, name: &str, key: &str) -> Result<&[u8], AssetError> {
        self.content(Holder::ConfigMap, namespace, name, key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> Place {
        Place { holder: Holder::Secret, namespace: "shop".to_owned(), name: name.to_owned() }
    }

    fn held(value: &str) -> Held {
        Arc::new(Content::Keys(BTreeMap::from([("key".to_owned(), value.as_bytes().to_vec())])))
    }

    #[test]
    fn what_was_asked_for_is_written_down() {
        let known = Known::from([(place("there"), held("x")), (place("gone"), Arc::new(Content::Missing))]);
        let lookup = Lookup::new(&known);
        assert_eq!(lookup.secret("shop", "there", "key"), Ok(b"x".as_slice()));
        assert_eq!(lookup.secret("shop", "there", "other"), Err(AssetError::NoKey));
        assert_eq!(lookup.secret("shop", "gone", "key"), Err(AssetError::NoObject));
        assert_eq!(lookup.config_map("shop", "there", "key"), Ok(UNSEEN.as_bytes()), "it is not read yet");
        let used: Vec<Place> = lookup.used().into_keys().collect();
        assert_eq!(used, [place("gone"), place("there")]);
        let unread = Place { holder: Holder::ConfigMap, ..place("there") };
        assert_eq!(lookup.unknown(), BTreeSet::from([unread]));
    }

    #[test]
    fn a_content_that_was_read_again_is_another() {
        let mut known = Known::from([(place("there"), held("x")), (place("other"), held("y"))]);
        let lookup = Lookup::new(&known);
        lookup.secret("shop", "there", "key").unwrap();
        let used = lookup.used();
        assert!(is_current(&used, &known));
        known.insert(place("other"), held("z"));
        assert!(is_current(&used, &known), "it was not asked for");
        known.insert(place("there"), held("x"));
        assert!(!is_current(&used, &known));
        known.remove(&place("there"));
        assert!(!is_current(&used, &known));
    }
}
