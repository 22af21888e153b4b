package failure

import "sync"

// rules is the table of what tools say. Of the rules that are in a line the
// heaviest counts. Sources are in testdata/texts.tsv, with each text.
var rules = sync.OnceValue(func() []rule {
	var out []rule
	for _, r := range table {
		out = append(out, rule{r.class, r.reason, r.weight, compileAll(r.says), compileAll(r.unless)})
	}
	return out
})

type row struct {
	class        Class
	reason       string
	weight       int
	says, unless string // patterns, a bar between two
}

// notHTTP are words beside which a number is none of HTTP.
const notHTTP = "# packages|# files|# tests|# items|# lines"

var table = []row{
	{Transient, "the agent, runner or worker was lost", 8, `agent was removed|agent * was removed|node is being removed|agent went offline|agent * went offline|was marked offline*|
		channelclosedexception|requestabortedexception|connection was broken|cannot contact *: java.|unexpected termination of the channel|lost contact with agent|issue with creating launcher for agent|
		wrapper script does not seem to be touching the log file|process apparently never started|worker * disappeared|worker disappeared|worker * is stalled|worker lost|worker is not running|
		no worker fit container placement strategy|failed to create container|unknown handle|lost communication with the server|hosted runner encountered an error|runner lost|runner has lost|
		the job was not acquired by runner|runner system failure|runner_system_failure|job failed (system failure)|scheduler_failure|stuck_or_timeout_failure|
		agent lost|agent_lost|agent stopped responding|we stopped hearing from agent|node lost|nodelost|node was lost|pod * was evicted|pod was deleted|pod * not found|
		infrastructure fail*|infrastructure_failure|the build agent * disconnected|docker daemon * is the docker daemon running`, ``},
	{Transient, Interrupted, 8, `runner has received a shutdown signal|runner received a shutdown|spot interruption|spot termination|spot instance interruption|spot instance termination|spotinstance*|server.spotinstance*|
		instance-terminated-*|spot instance * terminated|spot instance * reclaimed|was preempted|has been preempted|instance preempted|compute.instances.preempted|preemptible * preempted|preempted by|vm was evicted|was evicted|scheduled for eviction|
		spot virtual machine * evicted|cancelling build after receiving*|build was cancelled by the platform|system is going down for`, `preempt_|kernel`},
	{Transient, Interrupted, 6, `signal: killed|signal: terminated|signal: interrupt|received signal sigterm|received sigterm|received signal terminated|caught signal 15|caught sigterm|sent sigterm|killed by signal|terminated by signal|
		user interrupted execution|keyboardinterrupt|container * exited with code 137|the operation was canceled`, `oom*|memory`},
	{TimedOut, "a time limit ended it", 8, `exceeded the maximum execution time of|execution took longer than|job_execution_timeout|job execution timeout|the action * has timed out after|step has timed out after|cancelling nested steps due to timeout|
		timeout has been exceeded|build timed out (after # minutes)|build timed out (after * marking the build as|timeout exceeded: #*|cancelling provisioner after a timeout|the job running on agent * ran longer than the maximum time of|
		too long with no output|build timed out after|build has been running for longer than|states.timeout|task timed out after|step exceeded its timeout|exceeded timeout of|max run duration|
		job was canceled because it reached the maximum|reached its time limit|time limit reached|image builder * timed out|timeoutseconds`, `attempt*|retry*`},
	{Quota, "a quota or limit of the account", 7, `quota exceeded|quotaexceeded|quota_exceeded|quota * exceeded|exceed* * quota|exceeding approved * quota|exceed* quota|quotalimit|over quota|overquota|vcpulimitexceeded|instancelimitexceeded|
		addresslimitexceeded|volumelimitexceeded|snapshotlimitexceeded|resourcelimitexceeded|maxspotinstancecountexceeded|vpclimitexceeded|securitygrouplimitexceeded|limitexceeded|limitexceededexception|*limitexceeded|servicequotaexceeded*|servicelimitexceeded|
		vcpu capacity than your current vcpu limit|limit exceeded|instance limit|account limit|you have reached your * limit|you have reached the limit|has reached * limit of|ci_quota_exceeded|
		maximum number of * reached|maximum number of * exceeded|maximum number of addresses|maximum number of instances|maximum number of images|maximum number of snapshots|maximum number of vms|more than your limit of|
		skunotavailable|overconstrained*|pull rate limit|payment required|no more minutes|usage limit|concurrent * limit|spending limit|resource_exhausted * quota*|quota '* exceeded|insufficient quota`,
		`requestlimit*|request limit|rate|retries|retry|attempts|redirects|iterations|disk quota|no quota*|time limit|depth|recursion|errors|file size|memory limit|deadline|timeout|throttl*|provisionedthroughput*|below`},
	{Transient, "the API was asked too often", 7, `throttl*|rate exceeded|rate limit exceeded|ratelimitexceeded|userratelimitexceeded|ratelimit* exceeded|rate_limit_exceeded|secondary rate limit|requestlimitexceeded|request limit exceeded|too many requests|toomanyrequests*|*rateexceeded|
		slow down|slowdown|status 429|status code 429|status: 429|http 429|http/1.1 429|error 429|code: 429|code=429|returned error: 429|response: 429|provisionedthroughputexceeded*|bandwidth limit|api calls quota|429 client error`,
		`throttle = *|throttle: *|throttle=*|cpu throttl*|pull rate limit|` + notHTTP},
	{Quota, "a rate limit that lasts hours", 8, `pull rate limit|quota exceeded for quota metric * per day*`, ``},
	{Transient, "the cloud has no capacity now", 7, `insufficient*capacity|insufficient * capacity|insufficientcapacity*|zone_resource_pool_exhausted*|does not have enough resources available|resource pool exhausted|allocationfailed|*allocationfailed|
		stockout|out of capacity|no valid host was found|not have sufficient capacity|no capacity available|currently do not have sufficient|capacity not available|insufficient resources to satisfy|insufficientfreeaddresses*|nocapacity`, `disk`},
	{Persistent, "the disk is full", 8, `no space left|disk full|disk is full|enospc|not enough free space|not enough disk space|not enough free disk space|not enough space|insufficient disk space|have enough free space in|disk quota exceeded|
		insufficient space|no free space|out of disk space|insufficient free space|at least #* more space needed|needs #* more space|insufficient storage|there is not enough space`, `checking|check passed|check: ok`},
	{Persistent, "not enough memory", 7, `oomkilled|oom-kill*|oom killer|out of memory|cannot allocate memory|heap out of memory|outofmemoryerror|memoryerror|memory cgroup|std::bad_alloc|virtual memory exhausted|needs #gb|needs # gb|need #gb|need # gb|insufficient memory`, `score`},
	{Transient, "another process holds the lock of the package manager", 8, `could not get lock|unable to acquire the dpkg frontend lock|unable to lock the administration directory|unable to lock directory /var/lib/apt|is another process using it|
		another app is currently holding the yum lock|dpkg frontend lock was locked by another process|system management is locked by|can't create transaction lock|unable to lock database|failed to obtain the transaction lock|
		another installation is in progress|0x80240016|has \"install-snap\" change in progress|* lock-frontend|resource temporarily unavailable) * dpkg*|failed to lock apt for exclusive operation|locked by another *apt*`, ``},
	{Transient, "mirrors are out of sync", 8, `hash sum mismatch|mirror sync in progress|file has unexpected size|is not valid yet|all mirrors were tried|no more mirrors to try|failed to download metadata for repo|failed to synchronize cache|
		metadata file does not match checksum|repomd.xml does not match|downloading successful, but checksum doesn't match|unable to fetch some archives|some index files failed to download|failed to fetch http*|failed to fetch https*|404 not found [ip*|
		cannot prepare internal mirrorlist|failed to retrieve file * from|cannot download repomd.xml|cannot find a valid baseurl|cannot retrieve repository metadata|changed its * value|failed to get update for|package * failed to download|unexpected size|
		valid metadata not found at specified url`, ``},
	{Transient, "the network", 6, `temporary failure in name resolution|temporary failure resolving|timeout waiting for ssh|timeout waiting for winrm|timed out waiting for ssh|timed out waiting for winrm|kex_exchange_identification|ssh_exchange_identification|
		max retries exceeded with url|connection reset by peer|connection reset|tls handshake timeout|tls handshake|early eof|remote end hung up unexpectedly|client_loop: send disconnect|eai_again|econnreset|econnrefused|etimedout|
		curl: (#)|curl error (#)|curl error: (#)|curl# error|network is unreachable|no route to host|server misbehaving|timeout during connect|remote host identification timeout`,
		`curl: (22)|curl: (23)|curl: (60)|curl: (3)|curl: (77)|curl: (51)|curl: (26)|curl: (27)`},
	{Transient, "the network", 5, `connection refused|connection timed out|connection closed|connection aborted|connection was closed|connection was forcibly closed|connection was lost|connection lost|connection terminated|connect timeout|connection timeout|operation timed out|i/o timeout|read timed out|context deadline exceeded|could not resolve|cannot resolve|
		name resolution|name or service not known|no such host|host is unreachable|host unreachable|destination unreachable|network unreachable|connection dropped|broken pipe|unexpected eof|gnutls_handshake|gnutls recv error|ssl_error_syscall|
		closed by remote host|closed by foreign host|incompleteread|incomplete read|peer closed connection|rpc failed*|wsarecv*|wsaetimedout|socket hang up|socket timeout|transfer closed|0x80072ee2|0x80072efd|0x8024402c|underlying connection was closed|
		request timed out|timed out while|failed to connect to|network error|network failure|network timeout|dns resolution failed|the semaphore timeout period has expired|no response from|could not connect to|is unreachable|handshake failed: eof|while communicating with the remote host|connection closed before message completed`, `connection closed gracefully`},
	{Transient, "a service failed for the moment", 5, `502 bad gateway|bad gateway|503 service unavailable|service unavailable|serviceunavailable*|504 gateway time*|gateway timeout|gateway time-out|status 50#|status code 50#|status code: 50#|status: 50#|http 50#|http/1.1 50#|error 50#|error: 50#|code: 50#|returned error: 50#|
		status 502|status 503|status 504|status code 502|status code 503|status code 504|status code: 502|status code: 503|status code: 504|statuscode=503|http 500|http 502|http 503|http 504|error: 500|error: 502|error: 503|error: 504|status code 500|status code: 500|error 502|error 503|error 504|
		http error 503|http error 502|http error 504|http error 500|returned error: 500|returned error: 502|returned error: 503|returned error: 504|code: 503|code: 500|status code: 500|internal server error|internalservererror|internaloperationerror|internalerror|internal error|internalfailure|retryableerror|operationpreempted|
		another operation * in progress|another operation that * in progress|serverbusy|server busy|server is busy|is currently unavailable|temporarily unavailable|temporary error|backenderror|backend error|exceeded wait attempts|incorrectstate|conflictingoperation*|concurrentmodification*|
		since it is disconnected|host * is not responding|the host is not connected|vm tools * not running in time|error waiting for * to become|resourcenotready*|try again later|please try again|please retry|timed out waiting for the ami`, notHTTP},
	{Transient, "the host was unreachable", 6, `unreachable!`, `permission denied`},
	{Transient, "it waited too long", 5, `timeout while waiting|timeout waiting|timed out waiting|gave up waiting|did not connect within|failed to reach running state`, `0 seconds`},
	{Transient, "it waited too long", 4, `timed out|timedout|timeout|timeout:|time-out|timeout expired|timeout while|timeout waiting`, `timeout = *|timeout=*|timeout set to|timeout: #*|with timeout|setting timeout|timeoutstartsec*|timeout is|--timeout*|_timeout=*|connect_timeout*`},
	{Persistent, "not allowed", 7, `accessdenied*|access denied|access is denied|access was denied|not authorized to perform|is not authorized|unauthorizedoperation|unauthorized*|authorizationfailed|authorizationerror|permission denied (publickey*|authfailure|invalidclienttokenid|
		signaturedoesnotmatch|unrecognizedclient*|expiredtoken*|token included in the request is expired|token has expired|invalid credentials|invalidcredentials|authentication failed|authentication failure|authenticationfailed|unable to authenticate|attempted methods [*|401 unauthorized|403 forbidden|forbidden|
		status 401|status 403|status code 401|status code 403|status code: 401|status code: 403|http 401|http 403|error: 401|error: 403|returned error: 401|returned error: 403|code: 401|code: 403|could not read username|unable to locate credentials|nocredentialproviders|no valid credential sources|no basic auth credentials|
		requested access to the resource is denied|clientauthenticationerror|aadsts*|host key verification failed|incorrect user name or password|required '*' permission|does not have * permission*|does not have permission|lacks permission|missing permission|invalid password|login incorrect|no permission to|
		permission * denied on|invalid_grant|invalidauthenticationtoken*|the request you have made requires authentication|operation not permitted|permission to perform this operation was denied|requestdisallowedbypolicy|bad credentials|login failed|insufficient authentication scopes|token included in the request is invalid|token expired|readonlydisabledsubscription|sealed`, notHTTP},
	{Persistent, "not allowed", 6, `permission denied`, ``},
	{Persistent, "tests failed", 7, `# tests failed|# test failed|#) failed|tests failed|test failed|failing tests|failing test|# failed, # passed|# failed, #*|failed: #, |failed: #|failures: #|# failures|# failure|# failing|# control failure*|# controls failed|# control failed|
		assertionerror|assertion failed|assertion error|--- fail:*|not ok #*|failures=#|failures: #*|there were failing tests|there are test failures|tests run: *, failures: #*|test suite failed|verification failed: *|not meet * expectation|compliance check failed|rule * fail|expected * but got|does not match expected`,
		`curl|0 failures|no tests failed|no failures|login*|retr*|attempt*|dnf|apt*|upgraded`},
	{Persistent, "a package or file does not exist", 5, `unable to locate package|no match for argument|has no installation candidate|unmet dependencies|nothing provides|no package * available|no packages marked for|held broken packages|couldn't find any package|unable to find a match|not found in package names|
		no module named|modulenotfounderror|could not find a version that satisfies|no matching distribution found|command not found|not recognized as an internal or external command|is not recognized as the name of a cmdlet|executable file not found|could not find or access|no such file or directory|manifest unknown|
		cannot find module|*.notfound|imagenotfound*|does not exist|npm err! 404|npm error 404|could not be found|no such image|couldn't find remote ref|repository not found|404 not found|error 404|returned error: 404|http 404|status code 404|status code: 404|no such file|no such container|does not have a release file|error: package: * requires *|resourcenotfound*|not found: *`, `[ip*|` + notHTTP},
	{Persistent, "the configuration is wrong", 6, `syntax error*|syntaxerror|parse error|parser error|invalid template|template * invalid|undefined variable|undefined error|is undefined|unsupported argument|unsupported block type|unsupported attribute|did you run packer init|missing plugins|plugins are required|missing required|unset variable|no value for required variable|
		couldn't resolve module/action|is not a valid attribute|unrecognized arguments|unknown option|unrecognized option|invalid option|unknown flag|unknown shorthand flag|unexpected argument*|invalid configuration|invalid argument*|invalid parameter*|invalidparameter*|validationexception|validationerror|validation error|validation failed|invalid value|badrequest|malformed*|
		unsupportedoperation|unbound variable|bad substitution|bad interpreter|not a valid identifier|unknown builder|unknown provisioner|unknown post-processor|failed to parse|failed to initialize build|yaml: *|error parsing|mapping values are not allowed|no hosts matched|configuration error|invalid reference|invalid url|
		config file not found|job_config_invalid|invalid workflow file|unknown artifact|duplicate key|invalid character*|exec format error|conflicts with|no_pubkey|gpg check failed|is not signed|signatures couldn't be verified|public key * is not installed|expkeysig|required field|cannot unmarshal*|unknown field*`, ``},
	{Persistent, "the name is taken", 6, `already in use by|already exists|is already used by|name * is already in use|duplicatename*|invalidaminame.duplicate|resourceexists*|*.duplicate|name conflict`, `skipping|force|file exists`},
	{Persistent, "a certificate or checksum is wrong", 6, `certificate verify failed|self-signed certificate|self signed certificate|x509: certificate*|certificate has expired|certificate is not trusted|unable to get local issuer certificate|certificate is not yet valid|checksums did not match|checksum did not match|checksum mismatch|checksum does not match|
		do not match the hashes|digest mismatch|curl: (60)|curl: (77)|hostname mismatch|integrity check failed|verify checksum`, `metadata|repomd*`},
	{Persistent, "a program is broken", 5, `compilation terminated|compilation failed|undefined reference to|segmentation fault|core dumped|kernel panic*|traceback (most recent call last)|ld returned # exit status|make: *** [*|dpkg: error processing package*|sub-process /usr/bin/dpkg returned an error code|error in post* scriptlet*|scriptlet failed|dpkg was interrupted|could not compile*|nullpointerexception`, ``},
}

// codes are what only a code or a kind of failure says: in a text these words
// stand for much else.
var codes = sync.OnceValue(func() []rule {
	return []rule{
		{Transient, "the network", 5, compileAll(`network*|*network|*network_error|dns|connectivity|net_#|timeout|*_timeout|timed_out|conn*_error`), nil},
		{TimedOut, "a time limit ended it", 8, compileAll(`job_timeout|time_limit|timelimitexceeded|build_timeout`), nil},
		{Persistent, "not allowed", 5, compileAll(`auth|auth*|permission*|credential*`), nil},
		{Persistent, "tests failed", 6, compileAll(`test_failure|tests|inspec|goss|assertion*`), nil},
		{Persistent, "the configuration is wrong", 5, compileAll(`validation*|config*|dependency*|missing*|syntax*`), nil},
		{Persistent, "the disk is full", 6, compileAll(`disk_full|disk*`), nil},
		{Transient, "the cloud has no capacity now", 6, compileAll(`capacity*`), nil},
		{Transient, Interrupted, 7, compileAll(`interrupted|preempted|killed|node_lost`), nil},
		{Unknown, "the caller does not know", 4, compileAll(`unknown*`), nil},
	}
})
