//! BGP planning against a real API server: Services and configuration in, FRRConfigurations and reports out.
//!
//! There is no controller manager: the tests write Nodes, EndpointSlices and addresses of Services themselves.

#![allow(
    clippy::unwrap_used,
    reason = "the functions that tests share fail the test, too"
)]

mod api_bgp {
    mod cluster;
    mod failures;
    mod life_cycle;
    mod routes;
    #[path = "../api_operator/world.rs"]
    #[expect(
        dead_code,
        reason = "written for the tests of the life cycle of an installation"
    )]
    mod world;
}
