//! Links this package's tests and examples with the SPDK that barespdk-sys found, if it looked for one.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let arguments = std::env::var("DEP_SPDK_LINK_ARGS").unwrap_or_default();
    for argument in arguments
        .split('\u{1f}')
        .filter(|argument| !argument.is_empty())
    {
        println!("cargo::rustc-link-arg={argument}");
    }
}
