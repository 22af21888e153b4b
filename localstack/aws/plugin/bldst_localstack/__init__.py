"""LocalStack 4.14.0 without a Docker engine, for the tests of bldst.

executor    runs functions (provided.* bootstraps) as child processes
runtime_api is the Lambda Runtime API that those processes speak
server      makes LocalStack listen on this machine only
fixes       mends departures from AWS that the state machine depends on, and
            takes DynamoDB Local from where Maven has put it

It is no sandbox: a function is an ordinary process of the user, with the
machine's files and network.
"""

LOOPBACK = "127.0.0.1"
