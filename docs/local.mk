# docs
dist_doc_DATA = README.md CHANGES.md LICENSE docs/architecture.md docs/first-hour.md docs/performance.md docs/spool.md
EXTRA_DIST += docs/examples
