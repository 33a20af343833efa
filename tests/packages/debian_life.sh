# The installed program, run as the unit runs it but for systemd itself.
. /check.sh
status_json() { qcloud-agent --json status; }
PATH=$PATH:/usr/bin
is "it is the version of the package" qcloud-agent --version
qcloud-agent --state /var/lib/qcloud-agent run >/var/log/agent 2>&1 &
is "the agent answers" until_ status_json
kill $!
wait $!
is "it ends in order" [ $? -eq 0 ]
echo "$checks checks of the installed program"
