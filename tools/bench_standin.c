/* A process that to the host looks like a Jupyter kernel and does nothing: it listens on the five
 * ports of its connection file, as a kernel does, and sleeps until its parent ends.
 *
 *     bench_standin -m ipykernel_launcher -f /run/user/0/jupyter/kernel-ID.json
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void listen_on(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
        bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 1))
        fail("listen");
}

int main(int argc, char **argv)
{
    static char text[4096];
    FILE *file;

    if (prctl(PR_SET_PDEATHSIG, SIGKILL))
        fail("prctl");
    if (argc < 2 || !(file = fopen(argv[argc - 1], "r")))
        fail("connection file");
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    for (char *at = text; (at = strstr(at, "_port\": ")); at++)
        listen_on(atoi(at + 8));
    for (;;)
        pause();
}
