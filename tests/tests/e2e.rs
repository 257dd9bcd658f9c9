//! End to end: our install manifest on the lab's cluster, watched from the routers and clients outside of it.
//!
//! All tests share one cluster and run one after the other; each leaves it as it found it. They run as root in the
//! lab's control-plane namespace, after the lab came up with the images of this checkout: `make test` does all that,
//! `make e2e` only this part.

mod e2e {
    mod backend;
    mod bad_objects;
    mod bgp;
    mod layer2;
    mod nodes;
    mod operator;
    mod restart;
    mod world;
}
