//! Who counts among a user's connections, and in which order.

use super::*;

fn ada() -> User {
    User::parse("ada").unwrap()
}

fn client() -> Client {
    Client { user: ada(), tenant: None, info: Bytes::new() }
}

fn register(hub: &Arc<Hub>) -> (Arc<Connection>, Registration) {
    let (connection, _) = connection(ALL);
    let registration = Registration::new(hub, Arc::clone(&connection));
    (connection, registration)
}

#[test]
fn a_user_has_as_many_places_as_there_are() {
    let hub = hub();
    let (_, one) = register(&hub);
    let (_, two) = register(&hub);
    let (_, three) = register(&hub);
    let first = one.take_place(&ada(), 2);
    let second = two.take_place(&ada(), 2);
    assert!(first.is_some() && second.is_some());
    assert!(three.take_place(&ada(), 2).is_none(), "also while they are connecting");
    let bob = User::parse("bob").unwrap();
    assert!(three.take_place(&bob, 2).is_some(), "each user has places of their own");
    one.authenticated(client(), first);
    assert!(three.take_place(&ada(), 2).is_none());
    drop(second);
    let third = three.take_place(&ada(), 2);
    assert!(third.is_some(), "one that did not connect gives its place back");
    three.authenticated(client(), third);
    assert!(two.take_place(&ada(), 2).is_none());
    drop(one);
    assert!(two.take_place(&ada(), 2).is_some());
}

#[test]
fn a_connection_that_is_ending_takes_no_place() {
    let hub = hub();
    let (connection, one) = register(&hub);
    let (_, two) = register(&hub);
    let place = one.take_place(&ada(), 1);
    one.authenticated(client(), place);
    assert!(two.take_place(&ada(), 1).is_none());
    connection.close(&hub, Disconnect::EXPIRED);
    assert!(two.take_place(&ada(), 1).is_some());
}

#[test]
fn the_older_ones_are_those_that_authenticated_before() {
    let hub = hub();
    let (first, one) = register(&hub);
    let (second, two) = register(&hub);
    let (_, waiting) = register(&hub);
    let (_, other) = register(&hub);
    two.authenticated(client(), None);
    one.authenticated(client(), None);
    let bob = Client { user: User::parse("bob").unwrap(), ..client() };
    other.authenticated(bob, None);
    let same = |older: Vec<Arc<Connection>>, expected: &[&Arc<Connection>]| {
        older.len() == expected.len()
            && older.iter().zip(expected).all(|(one, other)| Arc::ptr_eq(one, other))
    };
    assert!(same(two.older(), &[]));
    assert!(same(one.older(), &[&second]));
    assert!(same(waiting.older(), &[]) && same(other.older(), &[]));
    drop(two);
    assert!(same(one.older(), &[]));
    waiting.authenticated(client(), None);
    assert!(same(waiting.older(), &[&first]));
}

#[test]
fn other_words_about_a_client_are_told_to_its_session_once() {
    let hub = hub();
    let (one, registration) = register(&hub);
    let (other, another) = register(&hub);
    registration.authenticated(client(), None);
    another.authenticated(client(), None);
    hub.set_info(&one, &ada(), Bytes::from_static(b"{}"));
    assert!(one.take_notes(Millis(0)).client_changed);
    assert!(!one.take_notes(Millis(0)).client_changed);
    assert!(!other.take_notes(Millis(0)).client_changed);
    assert_eq!(registration.client().map(|client| client.info), Some(Bytes::from_static(b"{}")));
    assert_eq!(another.client().map(|client| client.info), Some(Bytes::new()));
}
