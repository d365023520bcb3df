# The static binary and the scenarios, and nothing else: no shell, no user but a number.
#   contrib/static.sh dist && cp dist/squall-*-linux-gnu dist/squall && docker build -t squall .
FROM scratch
COPY dist/squall /squall
COPY scenarios /scenarios
USER 65534:65534
WORKDIR /results
ENTRYPOINT ["/squall"]
