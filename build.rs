//! What the linker has to be told for some targets, whichever of the ways of building is taken.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    // Kernels of some 32-bit ARM boxes (Annapurna AL-212, AL-314) have pages of 32 KiB, some of 64-bit ones 64 KiB: they
    // start no program whose segments are aligned to less. GNU ld aligns to 4 KiB on 32-bit ARM by itself.
    if target.starts_with("arm") || target.starts_with("aarch64") {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,max-page-size=65536");
    }
}
